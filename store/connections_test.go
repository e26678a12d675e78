package store_test

import (
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sockeye-project/sockeye/event"
	"github.com/sockeye-project/sockeye/store"
	"github.com/sockeye-project/sockeye/store/query"
)

// connectionEvent is an open or a close of a connection; visibility says when its source writes an open.
func connectionEvent(name event.Name, at time.Time, id, visibility string) event.Event {
	e := event.Event{Name: name, Time: at, Observed: at, Resource: event.NewResource(
		event.Named{Name: event.ServiceName, Value: event.String("chat")})}
	e.SetString(event.Vantage, event.VantageEdge)
	e.SetString(event.SourceVisibility, visibility)
	e.SetString(event.ConnectionID, id)
	return e
}

func opened(at time.Time, id string) event.Event {
	return connectionEvent(event.Open, at, id, event.VisibilityAtOpen)
}

// closed is a close after so long; a negative time is one that the source does not know.
func closed(at time.Time, id string, lasted time.Duration) event.Event {
	e := connectionEvent(event.Close, at, id, event.VisibilityAtOpen)
	if lasted >= 0 {
		e.SetDouble(event.ConnectionDuration, lasted.Seconds())
	}
	return e
}

// of gives events to a service of their own, so that tests share a database.
func of(service string, list []event.Event) []event.Event {
	moved := make([]event.Event, len(list))
	for i := range list {
		moved[i] = list[i].Clone()
		moved[i].Resource = event.NewResource(
			event.Named{Name: event.ServiceName, Value: event.String(service)},
			event.Named{Name: event.ServiceInstanceID, Value: event.String(list[i].Resource.String(event.ServiceInstanceID))})
	}
	return moved
}

func TestAConnectionIsToldAsFarAsItIsKnown(t *testing.T) {
	t.Parallel()
	s := open(t)
	whole := closed(base.Add(time.Minute), "c", time.Minute)
	whole.SetInt(event.CloseCode, 1001)
	whole.SetString(event.CloseReason, "going away")
	whole.SetInt(event.IOMessagesReceived, 3)
	whole.SetInt(event.IOSent, 0)
	idle := connectionEvent(event.Idle, base, "c", event.VisibilityAtOpen)
	idle.SetDouble(event.IdleDuration, 1)
	for name, tt := range map[string]struct {
		chunks [][]event.Event
		want   string
	}{
		"from open to close": {
			[][]event.Event{{opened(base, "c"), whole}},
			"opened 0s, closed 1m0s, lasted 60, code 1001 going away, messages 3 and unknown, sent 0: whole",
		},
		"an open without a close": {
			[][]event.Event{{opened(base, "c")}},
			"opened 0s, closed unknown, lasted unknown, code unknown , messages unknown and unknown, sent unknown: open",
		},
		"a close without an open, which says how long it lasted": {
			[][]event.Event{{closed(base, "c", 90*time.Second)}},
			"opened -1m30s, closed 0s, lasted 90, code unknown , messages unknown and unknown, sent unknown: close",
		},
		"a close without an open, which does not": {
			[][]event.Event{{closed(base, "c", -1)}},
			"opened unknown, closed 0s, lasted unknown, code unknown , messages unknown and unknown, sent unknown: close",
		},
		"neither": {
			[][]event.Event{{idle}},
			"opened unknown, closed unknown, lasted unknown, code unknown , messages unknown and unknown, sent unknown: part",
		},
		"an open that comes late": {
			[][]event.Event{{whole}, {opened(base, "c")}},
			"opened 0s, closed 1m0s, lasted 60, code 1001 going away, messages 3 and unknown, sent 0: whole",
		},
		"events that stand twice": {
			[][]event.Event{{opened(base, "c"), opened(base, "c"), whole}, {whole, opened(base, "c")}},
			"opened 0s, closed 1m0s, lasted 60, code 1001 going away, messages 3 and unknown, sent 0: whole",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for i, list := range tt.chunks {
				for range 2 { // a replay of the chunk changes nothing
					insert(t, s, fmt.Sprint(name, i), of(name, list))
				}
			}
			require.EqualValues(t, 1, number(t, s, "SELECT count() FROM connections WHERE service = ?", name))
			var got string
			require.NoError(t, s.Conn().QueryRow(t.Context(), `WITH ? AS base,
				(at -> if(isNull(at), 'unknown', toString(dateDiff('second', base, assumeNotNull(at))))) AS since
				SELECT concat('opened ', since(opened), ', closed ', since(closed), ', lasted ', ifNull(toString(duration), 'unknown'),
				', code ', ifNull(toString(close_code), 'unknown'), ' ', close_reason,
				', messages ', ifNull(toString(messages_received), 'unknown'), ' and ', ifNull(toString(messages_sent), 'unknown'),
				', sent ', ifNull(toString(io_sent), 'unknown'), ': ', coverage) FROM connections WHERE service = ?`, base, name).Scan(&got))
			require.Equal(t, seconds(tt.want), got)
		})
	}
}

var durations = regexp.MustCompile(`-?(?:\d+m)?\d+s\b`)

// seconds writes what a test says of time as the engine does.
func seconds(text string) string {
	return durations.ReplaceAllStringFunc(text, func(s string) string {
		d, err := time.ParseDuration(s)
		if err != nil {
			panic(err)
		}
		return fmt.Sprint(int64(d.Seconds()))
	})
}

func TestActiveConnectionsAreWhatSourcesProve(t *testing.T) {
	t.Parallel()
	s := open(t)
	const day = 24 * time.Hour
	atClose := func(e event.Event) event.Event {
		e.SetString(event.SourceVisibility, event.VisibilityAtClose)
		return e
	}
	for name, tt := range map[string]struct {
		events []event.Event
		want   string // active, at least, proof, coverage; empty where nothing is said
	}{
		"two instances say it": {
			[]event.Event{gauge(base.Add(-10*time.Second), "a", 7, -1), gauge(base.Add(-20*time.Second), "b", 0, -1)},
			"7 7 gauges 100",
		},
		"all say none": {[]event.Event{gauge(base.Add(-10*time.Second), "a", 0, -1)}, "0 - gauges 100"},
		"one fell silent, so that its share is unknown": {
			[]event.Event{gauge(base.Add(-10*time.Second), "a", 7, -1), gauge(base.Add(-2*time.Minute), "b", 100, -1)},
			"7 7 gauges 50",
		},
		"all fell silent": {[]event.Event{gauge(base.Add(-2*time.Minute), "a", 7, -1)}, "- - none -"},
		"opens without a close by then": {
			[]event.Event{
				opened(base.Add(-time.Hour), "before"), closed(base.Add(-time.Minute), "before", -1),
				opened(base.Add(-time.Hour), "still"),
				opened(base.Add(-time.Minute), "through"), closed(base.Add(time.Minute), "through", -1),
				opened(base.Add(time.Second), "after"),
			},
			"2 1 opens 100",
		},
		"all were closed": {
			[]event.Event{opened(base.Add(-time.Hour), "a"), closed(base.Add(-time.Minute), "a", time.Hour)}, "0 - opens 100",
		},
		"one was opened longer ago than is looked, and its close says so": {
			[]event.Event{opened(base.Add(-3*day), "a"), closed(base.Add(time.Minute), "a", 3*day+time.Minute)}, "1 1 opens 100",
		},
		"a close does not say when its connection was opened": {
			[]event.Event{closed(base.Add(time.Minute), "a", -1), closed(base.Add(time.Minute), "b", time.Hour)}, "1 1 opens 50",
		},
		"a log at close proves some later": {
			[]event.Event{
				atClose(closed(base.Add(time.Minute), "a", time.Hour)), atClose(opened(base.Add(-59*time.Minute), "a")),
				atClose(closed(base.Add(-time.Minute), "b", time.Hour)),
			},
			"- 1 closes 100",
		},
		"a log at close proves nothing yet": {
			[]event.Event{atClose(closed(base.Add(-time.Minute), "b", time.Hour))}, "- - closes 100",
		},
		"repeated events": {
			[]event.Event{opened(base.Add(-time.Hour), "a"), opened(base.Add(-time.Hour), "a")}, "1 - opens -",
		},
		"nothing": {nil, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if len(tt.events) > 0 {
				insert(t, s, name, of(name, tt.events))
			}
			require.Equal(t, tt.want, active(t, s, name, base))
		})
	}
}

// The named query asks for a pseudonym or an address: both indexes together must leave out what has neither.
func TestAClientIsFoundByAnIndex(t *testing.T) {
	t.Parallel()
	s := open(t)
	execute(t, s, `INSERT INTO events (time, counted_at, event, service, count, client_hash, client_address, chunk_id)
		SELECT now64(9) AS at, at, 'websocket.open', 'chat', 1, concat('p1:k1:', toString(intDiv(number, 1000))),
		concat('203.0.', toString(intDiv(number, 1000)), '.0'), 'a' FROM numbers(100000) SETTINGS async_insert = 0`)
	for _, q := range query.All() {
		if q.Name != "client" {
			continue
		}
		for client, want := range map[string]int{"p1:k1:7": 1000, "203.0.7.0": 1000, "nobody": 0} {
			text := strings.NewReplacer("{client:String}", "'"+client+"'", "{service:String}", "''", "{limit:UInt32}", "10000",
				"{since:DateTime64(3)}", "now() - INTERVAL 1 HOUR", "{until:DateTime64(3)}", "now() + INTERVAL 1 HOUR").Replace(q.SQL)
			require.EqualValues(t, want, number(t, s, "SELECT count() FROM ("+text+")"), client)
			var plan []string
			rows, err := s.Conn().Query(t.Context(), "EXPLAIN indexes = 1 "+text)
			require.NoError(t, err)
			for rows.Next() {
				var line string
				require.NoError(t, rows.Scan(&line))
				plan = append(plan, strings.TrimSpace(line))
			}
			require.NoError(t, rows.Err())
			require.Contains(t, strings.Join(plan, "\n"), "client_hash_index")
			var read, all int
			for _, line := range plan {
				_, _ = fmt.Sscanf(line, "Granules: %d/%d", &read, &all) // the last is of the last index
			}
			require.Less(t, read, 5, strings.Join(plan, "\n"))
		}
		return
	}
	require.FailNow(t, "there is no such query")
}

// active is what the named query says of the one service and vantage there is.
func active(t *testing.T, s *store.Store, service string, at time.Time) string {
	t.Helper()
	for _, q := range query.All() {
		if q.Name != "active-connections" {
			continue
		}
		a, err := q.Run(t.Context(), s.Conn(), map[string]string{
			query.At: at.Format("2006-01-02 15:04:05.000"), query.Service: service, query.Limit: "10",
		})
		require.NoError(t, err)
		if len(a.Rows) == 0 {
			return ""
		}
		require.Len(t, a.Rows, 1)
		text := ""
		for i, column := range []string{"active", "at_least", "proof", "coverage_percent"} {
			require.Equal(t, column, a.Columns[2+i])
			value := fmt.Sprint(a.Rows[0][2+i])
			if a.Rows[0][2+i] == nil {
				value = "-"
			}
			text += " " + value
		}
		return text[1:]
	}
	require.FailNow(t, "there is no such query")
	return ""
}
