package suricata_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sockeye-project/sockeye/event"
	"github.com/sockeye-project/sockeye/internal/testenv"
	"github.com/sockeye-project/sockeye/source/sourcetest"
	"github.com/sockeye-project/sockeye/source/suricata"
)

// truth is what tshark read from the capture that Suricata read.
type truth struct {
	Connections []struct {
		Client string
		HTTP   []struct{ Status int }
		Frames []struct {
			Opcode int
			Dir    string
			Masked bool
		}
		Close []struct{ By string }
	}
}

var opcodes = map[int]string{0: "continuation", 1: "text", 2: "binary", 8: "close", 9: "ping", 10: "pong"}

// Suricata's event log of every capture is held to what tshark saw in the same packets: opens and frames by opcode. The
// exception is the one that its expected.md names: of the IPv6 capture, which has no SYN, Suricata logs nothing.
func TestCorpusAgreesWithTheCaptures(t *testing.T) {
	t.Parallel()
	logs, err := filepath.Glob(filepath.Join(testenv.Corpus(t, "sources", "suricata-eve"), "*.eve.json"))
	require.NoError(t, err)
	require.NotEmpty(t, logs)
	for _, log := range logs {
		name := strings.TrimSuffix(filepath.Base(log), ".eve.json")
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var want truth
			data, err := os.ReadFile(testenv.Corpus(t, "sources", truthOf(name)))
			require.NoError(t, err)
			require.NoError(t, json.Unmarshal(data, &want))

			frames, received, opens := map[string]int{}, 0, 0
			for _, c := range want.Connections {
				for _, h := range c.HTTP {
					if h.Status == 101 {
						opens++
					}
				}
				for _, f := range c.Frames {
					op, ok := opcodes[f.Opcode]
					if !ok {
						op = "reserved"
					}
					frames[op]++
					// By the rule of the mask, which is the only one there is, frames of a client that breaks
					// RFC 6455 §5.1 look like the server's. wstunnel's client and one of the scripted do.
					if f.Dir == "c2s" && f.Masked {
						received++
					}
				}
			}
			if strings.HasPrefix(name, "ndn-tools.") {
				frames, opens, received = map[string]int{}, 0, 0
			}

			p := suricata.New(sourcetest.Settings(), nil)
			gotFrames, gotReceived, gotOpens, closes := map[string]int{}, 0, 0, 0
			ids := map[string]bool{}
			for _, line := range sourcetest.ReadLines(t, log) {
				// The packets of one capture are of 1970, which no log is.
				line = strings.ReplaceAll(line, `"1970-`, `"2020-`)
				for _, e := range sourcetest.Parse(t, p, line) {
					sourcetest.AssertModel(t, &e)
					assertNothingInvented(t, &e)
					ids[e.String(event.ConnectionID)] = true
					op := e.String(event.FrameOpcode)
					switch e.Name {
					case event.Open:
						gotOpens++
						continue
					case event.Close:
						closes++
						continue
					case event.Error:
						if op != "reserved" {
							continue // beside the event of the frame itself
						}
					case event.Message:
						if op = e.String(event.MessageType); e.Get(event.MessageFrames).Int() > 1 {
							op = "continuation"
						}
					}
					gotFrames[op]++
					if e.String(event.Direction) == event.DirectionReceive {
						gotReceived++
					}
				}
			}
			require.Equal(t, frames, gotFrames)
			require.Equal(t, received, gotReceived, "frames of clients")
			require.Equal(t, opens, gotOpens)
			require.Equal(t, opens, closes)
			require.Len(t, ids, opens)
		})
	}
}

// truthOf returns the file with tshark's reading of the capture that a log is named after.
func truthOf(name string) string {
	switch name {
	case "goapp.direct":
		return "goapp/direct.tshark.json"
	case "suricata-verify.websocket_basic_websockets":
		return "suricata-verify/websocket/basic_websockets.expected.json"
	case "suricata-verify.websocket-ping_input":
		return "suricata-verify/websocket-ping/input.expected.json"
	}
	return strings.Replace(name, ".", "/", 1) + ".expected.json"
}

// assertNothingInvented holds the attributes that no EVE line of a stock configuration can prove.
func assertNothingInvented(t *testing.T, e *event.Event) {
	t.Helper()
	for _, k := range []event.Key{
		event.CloseCode, event.CloseReason, event.IOReceived, event.IOSent, event.MessageSize, event.FrameSize,
		event.PingRTT, event.HandshakeDuration, event.Subprotocol, event.Extensions, event.URLTemplate,
	} {
		require.False(t, e.Has(k), "%s", k)
	}
	require.Empty(t, e.Extra())
	if e.Name != event.Open {
		require.False(t, e.Has(event.URLQuery), "a query holds tokens; one event of a connection is enough")
	}
}

// How connections ended, against tshark's Close frames and what the scripted client did.
func TestCorpusTellsHowConnectionsEnded(t *testing.T) {
	t.Parallel()
	var want truth
	data, err := os.ReadFile(testenv.Corpus(t, "sources", "goapp", "direct.tshark.json"))
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(data, &want))
	scenario := map[string]string{}
	for _, line := range sourcetest.ReadLines(t, testenv.Corpus(t, "sources", "goapp", "direct.expected.jsonl")) {
		var row struct {
			Scenario string
			Port     json.Number `json:"client_port"`
		}
		require.NoError(t, json.Unmarshal([]byte(line), &row))
		scenario[row.Port.String()] = row.Scenario
	}

	p := suricata.New(sourcetest.Settings(), nil)
	closes := map[string]event.Event{}
	for _, line := range sourcetest.ReadLines(t, testenv.Corpus(t, "sources", "suricata-eve", "goapp.direct.eve.json")) {
		for _, e := range sourcetest.Parse(t, p, line) {
			if e.Name == event.Close {
				closes[e.Get(event.ClientPort).Text()] = e
			}
		}
	}
	for _, c := range want.Connections {
		port := c.Client[strings.LastIndexByte(c.Client, ':')+1:]
		e, ok := closes[port]
		if !ok {
			continue // not upgraded
		}
		by := map[string]bool{}
		for _, frame := range c.Close {
			by[frame.By] = true
		}
		require.Equal(t, len(by) == 2, e.Get(event.CloseClean).Bool(), scenario[port])
		if len(c.Close) > 0 {
			require.Equal(t, c.Close[0].By, e.String(event.CloseInitiator), scenario[port])
		}
		switch s := scenario[port]; {
		case len(by) > 0:
			require.Empty(t, e.String(event.ErrorType), s)
		case s == "client_abort_rst":
			require.Equal(t, event.ConnectionReset, e.String(event.ErrorType), s)
			require.Equal(t, event.InitiatorClient, e.String(event.CloseInitiator), s)
			require.Equal(t, event.EvidenceInferred, e.String(event.SourceEvidence), s)
		default:
			require.Contains(t, []string{event.ConnectionLost, event.ConnectionReset}, e.String(event.ErrorType), s)
		}
	}
	require.Len(t, closes, 32, "42 connections, of which 32 were upgraded")
}
