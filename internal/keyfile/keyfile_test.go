package keyfile

import (
	"encoding/base64"
	"encoding/hex"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

func write(t *testing.T, text string, mode os.FileMode) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "key")
	require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
	require.NoError(t, os.Chmod(path, mode))
	return path
}

func TestLoad(t *testing.T) {
	t.Parallel()
	good := base64.StdEncoding.EncodeToString([]byte(strings.Repeat("k", Size)))
	for name, tt := range map[string]struct {
		text string
		mode os.FileMode
		want string
	}{
		"a key with a newline":            {good + "\n", 0o600, ""},
		"a key read only":                 {good, 0o400, ""},
		"a key the group may read":        {good, 0o440, ""},
		"a key the world may read":        {good, 0o644, "mode 0644 lets others use the key; run `chmod 600` on it"},
		"a key the group may write":       {good, 0o660, "mode 0660"},
		"an empty file":                   {"", 0o600, "empty"},
		"a short key":                     {"c2hvcnQ=", 0o600, "holds 5 bytes, must hold 32"},
		"text that is not base64":         {"correct horse battery", 0o600, "not base64"},
		"a file that is a log, not a key": {strings.Repeat("A", 10_000), 0o600, "must hold 32"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := write(t, tt.text, tt.mode)
			key, err := Load(path)
			if tt.want == "" {
				require.NoError(t, err)
				require.Len(t, key, Size)
				return
			}
			require.ErrorContains(t, err, tt.want)
			require.ErrorContains(t, err, path)
			require.Nil(t, key)
			if len(tt.text) > 0 {
				require.NotContains(t, err.Error(), tt.text)
			}
		})
	}
	_, err := Load(filepath.Join(t.TempDir(), "absent"))
	require.ErrorIs(t, err, os.ErrNotExist)
	_, err = Load(t.TempDir())
	require.ErrorContains(t, err, "not a regular file")
}

func TestLoadOrCreateGivesRacersOneKey(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "deep", "key")
	const racers = 16
	keys, created := make([][]byte, racers), make([]bool, racers)
	var wg sync.WaitGroup
	for i := range racers {
		wg.Go(func() {
			var err error
			if keys[i], created[i], err = LoadOrCreate(path); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	creators := 0
	for i := range racers {
		require.Equal(t, keys[0], keys[i])
		if created[i] {
			creators++
		}
	}
	require.Equal(t, 1, creators)
	info, err := os.Stat(path)
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode().Perm())
	entries, err := os.ReadDir(filepath.Dir(path))
	require.NoError(t, err)
	require.Len(t, entries, 1, "temporary files must not stay")
}

func TestLoadOrCreateNeverReplacesAFileThatIsWrong(t *testing.T) {
	t.Parallel()
	path := write(t, "not a key", 0o600)
	_, _, err := LoadOrCreate(path)
	require.Error(t, err)
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, "not a key", string(text))
}

func TestDeriveIsHKDF(t *testing.T) {
	t.Parallel()
	// RFC 5869, test case 3: no salt, no info; the first 32 of its 42 bytes.
	ikm, err := hex.DecodeString("0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b")
	require.NoError(t, err)
	require.Equal(t, "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d",
		hex.EncodeToString(Derive(ikm, "")))
	require.NotEqual(t, Derive(ikm, "a"), Derive(ikm, "b"))
}
