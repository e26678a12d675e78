package store_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sockeye-project/sockeye/event"
	"github.com/sockeye-project/sockeye/store"
	"github.com/sockeye-project/sockeye/store/embedded/embeddedtest"
	"github.com/sockeye-project/sockeye/store/schema"
)

// BenchmarkEngine measures what an event costs the engine: its processor time until the chunks are acknowledged, that
// of merging each row once, and the bytes on disk then. In a long run a row is merged some three times. One operation is
// ten chunks of 50,000 events in an engine of its own.
//
// SOCKEYE_ENGINE_SQL names a file of statements to run after the migrations, to try a change of the schema.
func BenchmarkEngine(b *testing.B) {
	for _, traffic := range []struct {
		name   string
		events func(chunk uint64, n int) []event.Event
	}{
		{"nginx", nginxEvents}, // few keys: connections of one service that end within a second
		{"mixed", events},      // very many keys: all kinds of events, spread over 40 minutes
	} {
		b.Run(traffic.name, func(b *testing.B) {
			const chunks = 10
			for b.Loop() {
				engine := embeddedtest.StartIn(b, b.TempDir())
				s, err := store.Open(b.Context(), engine.URL+"/bench", store.Options{})
				require.NoError(b, err)
				_, err = s.Migrate(b.Context())
				require.NoError(b, err)
				if path := os.Getenv("SOCKEYE_ENGINE_SQL"); path != "" {
					text, err := os.ReadFile(path)
					require.NoError(b, err)
					for _, statement := range schema.Statements(string(text)) {
						execute(b, s, statement)
					}
				}
				execute(b, s, "SYSTEM STOP MERGES")
				before := childCPU(b, engine.Process.Pid)
				measure := func(name string) {
					now := childCPU(b, engine.Process.Pid)
					b.ReportMetric(float64((now-before).Microseconds())/(chunks*benchmarkChunk), name)
					before = now
				}
				for i := range uint64(chunks) {
					list := traffic.events(i, benchmarkChunk)
					require.NoError(b, s.InsertChunk(b.Context(), fmt.Sprintf("%064x", i), rowsOf(list)))
				}
				measure("insert-CPU-µs/event")
				execute(b, s, "SYSTEM START MERGES")
				var tables []string
				require.NoError(b, s.Conn().QueryRow(b.Context(), "SELECT groupArray(name) FROM system.tables"+
					" WHERE database = 'bench' AND engine LIKE '%MergeTree'").Scan(&tables))
				for _, table := range tables {
					execute(b, s, "OPTIMIZE TABLE "+table+" FINAL")
				}
				measure("merge-CPU-µs/event")
				b.ReportMetric(0, "ns/op")
				for _, table := range []string{schema.Events, "%"} {
					n := number(b, s, "SELECT sum(bytes_on_disk) FROM system.parts WHERE active AND database = 'bench'"+
						" AND table LIKE ?", table)
					unit := strings.ReplaceAll(table, "%", "all") + "-bytes/event"
					b.ReportMetric(float64(n)/(chunks*benchmarkChunk), unit)
				}
				require.NoError(b, s.Close())
				engine.Stop()
			}
		})
	}
}

// childCPU is the processor time that a process has used.
func childCPU(b *testing.B, pid int) time.Duration {
	b.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	require.NoError(b, err)
	// The name of the program, in parentheses, may hold spaces.
	fields := strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+1:]))
	var ticks int64
	for _, field := range fields[11:13] { // utime and stime
		n, err := strconv.ParseInt(field, 10, 64)
		require.NoError(b, err)
		ticks += n
	}
	return time.Duration(ticks) * 10 * time.Millisecond // USER_HZ is 100 on every Linux that Go runs on
}

// nginxEvents returns what n/2 lines of nginx give: the open and the close of connections that ended within two seconds.
func nginxEvents(chunk uint64, n int) []event.Event {
	r := rand.New(rand.NewPCG(chunk, 2))
	resource := event.NewResource(event.Named{Name: event.ServiceName, Value: event.String("chat")})
	list := make([]event.Event, 0, n)
	for len(list) < n {
		written := base.Add(time.Duration(chunk)*2*time.Second + time.Duration(len(list))*40*time.Microsecond).
			Truncate(time.Millisecond)
		lasted := time.Duration(r.Int64N(3_600_000)) * time.Millisecond
		common := event.Event{Resource: resource, Observed: written}
		common.SetString(event.Vantage, event.VantageEdge)
		common.SetString(event.SourceVisibility, event.VisibilityAtClose)
		common.SetString(event.NetworkProtocolName, event.ProtocolWebSocket)
		common.SetString(event.NetworkTransport, "tcp")
		common.SetString(event.SourceType, "nginx")
		common.SetString(event.SourceEvidence, event.EvidenceObserved)
		common.SetString(event.ConnectionID, fmt.Sprintf("%016x%016x", r.Uint64(), r.Uint64()))
		common.SetString(event.HTTPVersion, "1.1")
		common.SetString(event.ServerAddress, "chat.example.com")
		common.SetString(event.ClientAddress, fmt.Sprintf("203.0.%d.0", r.IntN(256)))
		common.SetInt(event.ClientPort, 1024+r.Int64N(60_000))
		common.SetString(event.ClientHash, fmt.Sprintf("p1:k1:%016x", uint64(r.IntN(20_000))*0x9E3779B97F4A7C15))
		common.SetString(event.URLScheme, "wss")
		common.SetString(event.URLPath, "/ws")
		common.SetString(event.URLQuery, "room="+strconv.Itoa(r.IntN(500)))

		opened := common.Clone()
		opened.Name, opened.Time = event.Open, written.Add(-lasted)
		opened.SetInt(event.HTTPResponseStatusCode, 101)
		opened.SetDouble(event.HandshakeDuration, float64(r.IntN(20))/1000)
		opened.SetString(event.HTTPRequestMethod, "GET")
		opened.SetString(event.UserAgentOriginal, "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0")

		closed := common.Clone()
		closed.Name, closed.Time = event.Close, written
		closed.SetString(event.CloseInitiator, event.InitiatorUnknown)
		closed.SetDouble(event.ConnectionDuration, lasted.Seconds())
		closed.SetInt(event.IOSent, r.Int64N(1<<20))
		list = append(list, opened, closed)
	}
	return list
}
