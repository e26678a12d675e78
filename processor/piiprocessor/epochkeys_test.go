package piiprocessor

import (
	"encoding/base64"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/processor/processortest"

	"github.com/sockeye-project/sockeye/processor/piiprocessor/internal/metadata"
	"github.com/sockeye-project/sockeye/processor/piiprocessor/redact"
)

const day = 24 * time.Hour

// pseudonymAt returns what r makes of one address in a record of that time, or "".
func pseudonymAt(r *Redactor, at time.Time) string {
	ld := plog.NewLogs()
	lr := ld.ResourceLogs().AppendEmpty().ScopeLogs().AppendEmpty().LogRecords().AppendEmpty()
	lr.SetTimestamp(pcommon.NewTimestampFromTime(at))
	lr.Attributes().PutStr("client.address", "203.0.113.77")
	r.Logs(ld)
	hash, _ := lr.Attributes().Get("client.hash")
	return hash.Str()
}

func withKeys(k keys, change ...func(*Config)) *Redactor {
	cfg := createDefaultConfig().(*Config)
	for _, f := range change {
		f(cfg)
	}
	return &Redactor{engine: redact.New(cfg.settings(k))}
}

func TestARotatedKeyTakesOverBetweenEpochs(t *testing.T) {
	t.Parallel()
	before, after := []byte(strings.Repeat("b", 32)), []byte(strings.Repeat("a", 32))
	rotated := withKeys(keys{current: after, previous: before}, func(cfg *Config) {
		cfg.Pseudonyms.RotatedAt = noon.Format(time.RFC3339)
	})
	old, next := withKeys(keys{current: before}), withKeys(keys{current: after})
	midnight := noon.Truncate(day).Add(day)
	for at, same := range map[time.Time]*Redactor{
		noon.Add(-30 * day): old, noon.Add(-time.Hour): old, noon: old, noon.Add(time.Hour): old,
		midnight.Add(-1): old, midnight: next, midnight.Add(day): next,
	} {
		require.Equal(t, pseudonymAt(same, at), pseudonymAt(rotated, at), at)
		require.True(t, redact.IsPseudonym(pseudonymAt(rotated, at)))
	}
	require.NotEqual(t, pseudonymAt(old, noon), pseudonymAt(next, noon))

	// A rotation at the first moment of an epoch is of that epoch.
	exact := withKeys(keys{current: after, previous: before}, func(cfg *Config) {
		cfg.Pseudonyms.RotatedAt = midnight.Format(time.RFC3339)
	})
	require.Equal(t, pseudonymAt(next, midnight), pseudonymAt(exact, midnight))
	require.Equal(t, pseudonymAt(old, midnight.Add(-1)), pseudonymAt(exact, midnight.Add(-1)))
}

func TestAPseudonymIsThatOfItsEpoch(t *testing.T) {
	t.Parallel()
	for name, r := range map[string]*Redactor{
		"of the installation key": redactor(), "of a key of its own": chained(t, filepath.Join(t.TempDir(), "chain"), noon),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			first := noon.Truncate(day)
			require.Equal(t, pseudonymAt(r, first), pseudonymAt(r, first.Add(day-1)))
			require.NotEqual(t, pseudonymAt(r, first), pseudonymAt(r, first.Add(day)))
			require.NotEqual(t, pseudonymAt(r, first), pseudonymAt(r, first.Add(-1)))
		})
	}
}

// chained is a redactor with the chain in the file at path, as it is at now.
func chained(t *testing.T, path string, now time.Time) *Redactor {
	t.Helper()
	var epochs redact.EpochKeys
	require.NoError(t, keepEpochKeys(path, day, 2*day, now, &epochs))
	return withKeys(keys{epochs: &epochs})
}

func TestTheKeysOfOldEpochsAreDestroyed(t *testing.T) {
	t.Parallel()
	path, elsewhere := filepath.Join(t.TempDir(), "made", "chain"), filepath.Join(t.TempDir(), "chain")
	first := chained(t, path, noon)
	monday := pseudonymAt(first, noon)
	require.True(t, redact.IsPseudonym(monday))
	begun, err := os.ReadFile(path)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(elsewhere, begun, 0o600))

	// A restart, a replay and another collector that began with the same file: the same.
	require.Equal(t, monday, pseudonymAt(chained(t, path, noon), noon))
	require.Equal(t, monday, pseudonymAt(chained(t, path, noon.Add(2*day)), noon))
	require.Equal(t, monday, pseudonymAt(chained(t, elsewhere, noon), noon))

	// Older than keep: nothing is made, and with what is in the file nothing can be.
	late := chained(t, path, noon.Add(3*day))
	require.Empty(t, pseudonymAt(late, noon))
	require.True(t, redact.IsPseudonym(pseudonymAt(late, noon.Add(day))))
	kept, err := os.ReadFile(path)
	require.NoError(t, err)
	c, ok := parseChain(string(kept))
	require.True(t, ok)
	require.Equal(t, noon.Add(day).Unix()/86400, c.first)
	require.NotContains(t, string(kept), base64.StdEncoding.EncodeToString(mustParse(t, begun).key))
	require.Empty(t, pseudonymAt(chained(t, path, noon.Add(2*day)), noon), "a clock that goes back brings no key back")

	// Tuesday is the same for a collector that was away meanwhile.
	require.Equal(t, pseudonymAt(late, noon.Add(day)), pseudonymAt(chained(t, elsewhere, noon.Add(2*day)), noon.Add(day)))

	// Without the file there are new keys.
	require.NoError(t, os.Remove(path))
	again := pseudonymAt(chained(t, path, noon), noon)
	require.True(t, redact.IsPseudonym(again))
	require.NotEqual(t, monday, again)
	entries, err := os.ReadDir(filepath.Dir(path))
	require.NoError(t, err)
	require.Len(t, entries, 1, "nothing is left beside the file")
}

func mustParse(t *testing.T, text []byte) chain {
	t.Helper()
	c, ok := parseChain(string(text))
	require.True(t, ok)
	return c
}

func TestARecordFarFromNowHasNoPseudonym(t *testing.T) {
	t.Parallel()
	r := chained(t, filepath.Join(t.TempDir(), "chain"), noon)
	for _, at := range []time.Time{noon.Add(100 * 365 * day), noon.Add(3 * day), noon.Add(-3 * day), time.Unix(0, 1)} {
		require.Empty(t, pseudonymAt(r, at), at)
	}
	require.NotEmpty(t, pseudonymAt(r, noon.Add(day)), "a sender's clock may be ahead")
}

func TestAScannerForgetsWhatItMadeWithKeysThatAreGone(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "chain")
	var epochs redact.EpochKeys
	require.NoError(t, keepEpochKeys(path, day, 2*day, noon, &epochs))
	r := withKeys(keys{epochs: &epochs})
	require.NotEmpty(t, pseudonymAt(r, noon))
	require.NoError(t, keepEpochKeys(path, day, 2*day, noon.Add(3*day), &epochs))
	require.Empty(t, pseudonymAt(r, noon))
	require.NotEmpty(t, pseudonymAt(r, noon.Add(3*day)))
}

func TestChainFilesThatCannotBeUsed(t *testing.T) {
	t.Parallel()
	good := func(t *testing.T) string {
		path := filepath.Join(t.TempDir(), "chain")
		chained(t, path, noon)
		return path
	}
	for name, c := range map[string]struct {
		spoil  func(*testing.T, string)
		length time.Duration
		now    time.Time
		want   string
	}{
		"another length of epochs": {length: time.Hour, want: "made for pseudonyms.epoch 24h0m0s; set that, or remove the file"},
		"a clock far behind":       {now: noon.Add(-30 * day), want: "begins after the present time; set the clock"},
		"a clock far ahead":        {now: noon.Add(20_000 * day), want: "epochs ago; set the clock"},
		"a file that others may read": {
			spoil: func(t *testing.T, path string) { require.NoError(t, os.Chmod(path, 0o640)) }, want: "run `chmod 600` on it"},
		"something else": {
			spoil: func(t *testing.T, path string) { require.NoError(t, os.WriteFile(path, []byte("canary"), 0o600)) },
			want:  "not a file of epoch keys"},
		"a folder": {
			spoil: func(t *testing.T, path string) {
				require.NoError(t, os.Remove(path))
				require.NoError(t, os.Mkdir(path, 0o700))
			},
			want: "not a file of epoch keys"},
		"a long file": {
			spoil: func(t *testing.T, path string) {
				require.NoError(t, os.WriteFile(path, []byte(strings.Repeat("canary ", 1000)), 0o600))
			},
			want: "not a file of epoch keys"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := good(t)
			if c.spoil != nil {
				c.spoil(t, path)
			}
			length, now := day, noon
			if c.length != 0 {
				length = c.length
			}
			if !c.now.IsZero() {
				now = c.now
			}
			before, _ := os.ReadFile(path)
			err := keepEpochKeys(path, length, 2*day, now, &redact.EpochKeys{})
			require.ErrorContains(t, err, c.want)
			require.ErrorContains(t, err, "chain file "+path)
			require.NotContains(t, err.Error(), "canary")
			after, _ := os.ReadFile(path)
			require.Equal(t, before, after, "keys were destroyed by mistake")
		})
	}
}

func TestCollectorsThatBeginAtOnceGetOneChain(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "chain")
	kids := make([]string, 8)
	var wg sync.WaitGroup
	for i := range kids {
		wg.Go(func() {
			c, err := createChain(path, day, 1)
			if err == nil {
				kids[i] = string(c.key)
			}
		})
	}
	wg.Wait()
	for _, kid := range kids {
		require.NotEmpty(t, kid)
		require.Equal(t, kids[0], kid)
	}
}

func TestTheProcessorLooksAfterItsKeys(t *testing.T) {
	t.Parallel()
	cfg := createDefaultConfig().(*Config)
	cfg.Pseudonyms.ChainFile = filepath.Join(t.TempDir(), "chain")
	cfg.Pseudonyms.Keep = day
	require.NoError(t, cfg.Validate())
	p, err := newProcessor(processortest.NewNopSettings(metadata.Type), cfg)
	require.NoError(t, err)
	var mu sync.Mutex
	now := noon
	p.now = func() time.Time { mu.Lock(); defer mu.Unlock(); return now }
	require.NoError(t, p.start(t.Context(), nil))
	require.NotEmpty(t, pseudonymAt(p.redactor, noon))
	require.NoError(t, p.shutdown(t.Context()))

	// The same again with a clock that goes on, and one look after each tick.
	var epochs redact.EpochKeys
	require.NoError(t, p.keepKeys(&epochs))
	r := withKeys(keys{epochs: &epochs})
	p.stop, p.stopped = make(chan struct{}), make(chan struct{})
	mu.Lock()
	now = noon.Add(5 * day)
	mu.Unlock()
	go p.destroyOldKeys(&epochs, time.NewTicker(time.Millisecond))
	require.Eventually(t, func() bool { return pseudonymAt(r, noon) == "" }, 10*time.Second, time.Millisecond)
	require.NotEmpty(t, pseudonymAt(r, noon.Add(5*day)))
	require.NoError(t, p.shutdown(t.Context()))

	require.NoError(t, os.WriteFile(cfg.Pseudonyms.ChainFile, []byte("canary"), 0o600))
	require.ErrorContains(t, p.start(t.Context(), nil), "not a file of epoch keys")
}

func TestStartReadsThePreviousKey(t *testing.T) {
	t.Parallel()
	cfg := createDefaultConfig().(*Config)
	cfg.KeyFile = filepath.Join(t.TempDir(), "key")
	cfg.Pseudonyms.PreviousKeyFile, cfg.Pseudonyms.RotatedAt = filepath.Join(t.TempDir(), "old"), noon.Format(time.RFC3339)
	require.NoError(t, cfg.Validate())
	p, err := newProcessor(processortest.NewNopSettings(metadata.Type), cfg)
	require.NoError(t, err)
	require.ErrorContains(t, p.start(t.Context(), nil), cfg.Pseudonyms.PreviousKeyFile, "a key that is missing is not made up")
	before := []byte(strings.Repeat("b", 32))
	require.NoError(t, os.WriteFile(cfg.Pseudonyms.PreviousKeyFile, []byte(base64.StdEncoding.EncodeToString(before)), 0o600))
	require.NoError(t, p.start(t.Context(), nil))
	require.Equal(t, pseudonymAt(withKeys(keys{current: before}), noon), pseudonymAt(p.redactor, noon))
	require.NotEqual(t, pseudonymAt(withKeys(keys{current: before}), noon.Add(day)), pseudonymAt(p.redactor, noon.Add(day)))
	require.NoError(t, p.shutdown(t.Context()))
}

func FuzzParseChain(f *testing.F) {
	c := chain{kid: "abcd", length: day, first: 20000, key: []byte(strings.Repeat("k", 32))}
	f.Add(c.String())
	f.Add("sockeye-epoch-keys abcd 0 -1 a")
	f.Add("sockeye-epoch-keys p1: 9223372036854775807 9223372036854775807 " + base64.StdEncoding.EncodeToString(c.key))
	f.Fuzz(func(t *testing.T, text string) {
		c, ok := parseChain(text)
		if !ok {
			return
		}
		again, ok := parseChain(c.String())
		require.True(t, ok)
		require.Equal(t, c, again)
	})
}
