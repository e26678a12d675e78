//go:build linux && amd64 && !noembedded

package embedded

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestTokensOfWhatWasNotStoredAreForgotten(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		parts []string
		logs  []string // the oldest first
		want  []string
	}{
		"nothing is stored yet": {logs: []string{""}, want: []string{""}},
		"every part is there": {
			parts: []string{"202611_1_1_0", "202611_2_2_0"},
			logs:  []string{"1\t202611_1_1_0\ta\n1\t202611_2_2_0\tb\n"},
			want:  []string{"1\t202611_1_1_0\ta\n1\t202611_2_2_0\tb\n"},
		},
		"the last part was never renamed": {
			parts: []string{"202611_1_1_0", "tmp_insert_202611_2_2_0"},
			logs:  []string{"1\t202611_1_1_0\ta\n1\t202611_2_2_0\tb\n"},
			want:  []string{"1\t202611_1_1_0\ta\n"},
		},
		"the very first part was never renamed": {
			logs: []string{"1\tall_1_1_1\ta\n"}, want: []string{""},
		},
		"several tokens of a part that was never renamed": {
			parts: []string{"all_1_1_0"},
			logs:  []string{"1\tall_1_1_0\ta\n1\tall_2_2_0\tb\n1\tall_2_2_0\tc\n"},
			want:  []string{"1\tall_1_1_0\ta\n"},
		},
		"a part that was merged is there": {
			parts: []string{"all_1_7_2"},
			logs:  []string{"1\tall_6_6_0\ta\n1\tall_7_7_0\tb\n"},
			want:  []string{"1\tall_6_6_0\ta\n1\tall_7_7_0\tb\n"},
		},
		"a part that was merged and altered is there": {
			parts: []string{"all_1_7_2_9"},
			logs:  []string{"1\tall_7_7_0\tb\n"},
			want:  []string{"1\tall_7_7_0\tb\n"},
		},
		"a part of another partition is another": {
			parts: []string{"20261124_1_9_1", "20261125_1_8_1"},
			logs:  []string{"1\t20261125_8_8_0\ta\n1\t20261125_9_9_0\tb\n"},
			want:  []string{"1\t20261125_8_8_0\ta\n"},
		},
		"what is no longer there but not last was dropped": {
			parts: []string{"all_9_9_0"},
			logs:  []string{"1\tall_1_1_0\ta\n1\tall_9_9_0\tb\n"},
			want:  []string{"1\tall_1_1_0\ta\n1\tall_9_9_0\tb\n"},
		},
		"a token that was dropped stays dropped": {
			logs: []string{"1\tall_1_1_0\ta\n2\tall_1_1_0\ta\n"},
			want: []string{"1\tall_1_1_0\ta\n2\tall_1_1_0\ta\n"},
		},
		"a line was cut off": {
			parts: []string{"all_1_1_0"},
			logs:  []string{"1\tall_1_1_0\ta\n1\tall_2_2"},
			want:  []string{"1\tall_1_1_0\ta\n"},
		},
		"the log was rotated behind the lost part": {
			parts: []string{"all_1_1_0"},
			logs:  []string{"1\tall_1_1_0\ta\n", "1\tall_2_2_0\tb\n", ""},
			want:  []string{"1\tall_1_1_0\ta\n", "", ""},
		},
		"a line of another form is left alone": {
			logs: []string{"something else\n"}, want: []string{"something else\n"},
		},
		"a line of another form before one that would be forgotten": {
			logs: []string{"something else\n1\tall_1_1_0\ta\n"}, want: []string{"something else\n1\tall_1_1_0\ta\n"},
		},
		"a log without lines is left alone": {
			logs: []string{"\x01\x00\x00all_1_1_0"}, want: []string{"\x01\x00\x00all_1_1_0"},
		},
		"many parts are elsewhere, such as on another disk": {
			logs: []string{"1\tall_1_1_0\ta\n1\tall_2_2_0\tb\n"}, want: []string{"1\tall_1_1_0\ta\n1\tall_2_2_0\tb\n"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := filepath.Join(t.TempDir(), "[data")
			table := filepath.Join(dir, "store", "8c7", "8c7f007d-2d0b-43d1-946d-ffdef5070710")
			for _, p := range append(c.parts, "deduplication_logs", "detached") {
				require.NoError(t, os.MkdirAll(filepath.Join(table, p), 0o700))
			}
			log := func(i int) string {
				// Number 10 comes after number 9, whatever the names say.
				return filepath.Join(table, "deduplication_logs", "deduplication_log_"+[]string{"9", "10", "11"}[i]+".txt")
			}
			for i, text := range c.logs {
				require.NoError(t, os.WriteFile(log(i), []byte(text), 0o600))
			}
			require.NoError(t, os.WriteFile(filepath.Join(dir, "status"), nil, 0o600))
			for range 2 {
				require.NoError(t, forgetUnstored(dir))
				for i, want := range c.want {
					got, err := os.ReadFile(log(i))
					require.NoError(t, err)
					require.Equal(t, want, string(got))
				}
			}
		})
	}
}

func TestTokensOfARunningEngineAreLeftAlone(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	require.NoError(t, forgetUnstored(dir), "a new data directory")
	logs := filepath.Join(dir, "store", "8c7", "8c7f007d", "deduplication_logs")
	require.NoError(t, os.MkdirAll(logs, 0o700))
	log := filepath.Join(logs, "deduplication_log_1.txt")
	require.NoError(t, os.WriteFile(log, []byte("1\tall_1_1_0\ta\n"), 0o600))
	status, err := os.Create(filepath.Join(dir, "status"))
	require.NoError(t, err)
	defer status.Close()
	require.NoError(t, syscall.Flock(int(status.Fd()), syscall.LOCK_EX))
	require.NoError(t, forgetUnstored(dir))
	got, err := os.ReadFile(log)
	require.NoError(t, err)
	require.NotEmpty(t, got)
}

func FuzzStoredTokens(f *testing.F) {
	f.Add("1\tall_1_1_0\ta\n1\tall_2_2_0\tb\n", "all_1_1_0")
	f.Add("1\tall_1_1_0\ta\n1\tall_2", "all_1_9_3")
	f.Add("2\tall_1_1_0\ta\n\n\n", "")
	f.Fuzz(func(t *testing.T, text, stored string) {
		var parts []part
		if p, ok := parsePart(stored); ok {
			parts = append(parts, p)
		}
		keep := storedTokens([]byte(text), parts)
		if keep < 0 || keep > len(text) || (keep > 0 && keep < len(text) && text[keep-1] != '\n') {
			t.Fatalf("kept %d of %q", keep, text)
		}
		if storedTokens([]byte(text[:keep]), parts) != keep {
			t.Fatal("the second look finds more")
		}
	})
}
