package content_test

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sockeye-project/sockeye/endpoint/content"
)

// told waits for what Follow tells.
func told[T any](t *testing.T, c <-chan T) (v T) {
	t.Helper()
	select {
	case v = <-c:
	case <-time.After(20 * time.Second):
		require.FailNow(t, "nothing was told")
	}
	return v
}

func TestADirectoryIsFollowed(t *testing.T) {
	t.Parallel()
	dir := directory(t)
	guard, err := content.New(content.Settings{Directory: dir})
	require.NoError(t, err)
	ctx, stop := context.WithCancel(context.Background())
	changed, faults, done := make(chan *content.Policy, 10), make(chan error, 10), make(chan struct{})
	go func() {
		defer close(done)
		guard.Follow(ctx, 10*time.Millisecond,
			func(p *content.Policy) { changed <- p }, func(err error) { faults <- err })
	}()
	before := guard.Policy()

	edit(t, dir, "content.yaml", "mode: enforce", "mode: enforce\nenforce_percent: 25")
	require.Equal(t, "enforce on 25 %", told(t, changed).Mode())

	edit(t, dir, "post.v2.json", `"const": 2`, `"const": 2,`)
	require.ErrorContains(t, told(t, faults), "post.v2.json:6:22: not valid JSON: ")
	require.Equal(t, "enforce on 25 %", guard.Policy().Mode(), "the one before stays")
	edit(t, dir, "post.v2.json", `"const": 2,`, `"const": 2`)
	told(t, changed)

	// A new schema, and a file that replaces another, as those who want it whole do it.
	require.NoError(t, os.Link(filepath.Join(dir, "kick.json"), filepath.Join(dir, "kick.v0.json")))
	told(t, changed)
	other := directory(t, "mode: enforce", "mode: observe")
	require.NoError(t, os.Rename(filepath.Join(other, "content.yaml"), filepath.Join(dir, "content.yaml")))
	require.Equal(t, "observe", told(t, changed).Mode())

	// What Kubernetes does: the directory's place is another one at once.
	require.NoError(t, os.Rename(dir, dir+".old"))
	require.ErrorContains(t, told(t, faults), "content directory: ")
	require.NoError(t, os.Rename(dir+".old", dir))
	told(t, changed)

	require.NotSame(t, before, guard.Policy())
	stats := guard.Stats()
	require.EqualValues(t, 5, stats.Reloads)
	require.EqualValues(t, 2, stats.ReloadFaults)
	stop()
	<-done
	require.Empty(t, changed)
	require.Empty(t, faults, "a fault is told once")
}

// A ConfigMap in Kubernetes: files are links through ..data, which is replaced.
func TestADirectoryOfLinksIsFollowed(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	version := func(name string, changes ...string) {
		t.Helper()
		require.NoError(t, os.CopyFS(filepath.Join(dir, name), os.DirFS(directory(t, changes...))))
		require.NoError(t, os.Symlink(name, filepath.Join(dir, "..next")))
		require.NoError(t, os.Rename(filepath.Join(dir, "..next"), filepath.Join(dir, "..data")))
	}
	version("..1")
	files, err := os.ReadDir(filepath.Join(dir, "..1"))
	require.NoError(t, err)
	for _, f := range files {
		require.NoError(t, os.Symlink(filepath.Join("..data", f.Name()), filepath.Join(dir, f.Name())))
	}
	guard, err := content.New(content.Settings{Directory: dir})
	require.NoError(t, err)
	require.Equal(t, "enforce on 100 %", guard.Policy().Mode())
	ctx, stop := context.WithCancel(context.Background())
	changed, done := make(chan *content.Policy, 10), make(chan struct{})
	go func() {
		defer close(done)
		guard.Follow(ctx, 10*time.Millisecond,
			func(p *content.Policy) { changed <- p }, func(err error) { t.Error(err) })
	}()
	version("..2", "mode: enforce", "mode: observe")
	require.Equal(t, "observe", told(t, changed).Mode())
	stop()
	<-done
}
