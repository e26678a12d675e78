package redact

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestARepeatedValueIsTreatedAsTheFirst treats values many times by one Scanner, more of them than it remembers, and
// each by a Scanner that has seen nothing else.
func TestARepeatedValueIsTreatedAsTheFirst(t *testing.T) {
	t.Parallel()
	values := []string{
		"", "chat", "Chrome/108.0.44.129 Safari", "/rooms/42", "v=2&room=lobby", "v=2&token=abcdef", "ann@example.com",
		"203.0.113.77", "203.0.113.0", "203.0.113.77:443", "2001:db8:1:2::77", "web-1", "unix:", testJWT, Redacted,
	}
	for i := range keptSlots {
		values = append(values, fmt.Sprintf("198.51.%d.%d", i/200, i%200), fmt.Sprintf("/rooms/%d", i))
	}
	engine := scanner(t).e
	at := time.Date(2026, 11, 3, 12, 0, 0, 0, time.UTC)
	type result struct {
		out     string
		verdict Verdict
		hash    string
		counts  [RuleCount][ActionCount]uint32
	}
	treat := func(s *Scanner, kind kind, v string, at time.Time) (r result) {
		s.SetTime(at)
		s.Counts = [RuleCount][ActionCount]uint32{}
		if kind == kindAddress {
			r.hash = s.ClientHash(v)
		}
		r.out, r.verdict = s.String(Treatment{kind: kind}, v)
		r.counts = s.Counts
		return r
	}
	s, fresh := engine.Scanner(), engine.Scanner()
	for round := range 3 {
		at := at.Add(time.Duration(round) * 48 * time.Hour) // another epoch, another pseudonym
		for _, kind := range []kind{kindAddress, kindInfra, kindLabel, kindAgent, kindText, kindPath, kindQuery, kindSubprotocol} {
			for _, v := range values {
				fresh.forget()
				want := treat(fresh, kind, v, at)
				require.Equal(t, want, treat(s, kind, v, at), "%d %q", kind, v)
				require.Equal(t, want, treat(s, kind, v, at), "again: %d %q", kind, v)
			}
		}
	}
	s.Release()
	require.Equal(t, [keptSlots]keptValue{}, s.kept, "no value outlives its data")
	require.Equal(t, [addressSlots]addressResult{}, s.addresses)
}
