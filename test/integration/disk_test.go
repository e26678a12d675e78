package integration

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sockeye-project/sockeye/internal/testenv"
)

// smallDisk mounts a file system of its own of that size.
func smallDisk(t testing.TB, bytes int64) string {
	t.Helper()
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, fmt.Sprintf("size=%d", bytes)); err != nil {
		testenv.Missing(t, "the right to mount a tmpfs", "run the test as root")
	}
	t.Cleanup(func() { require.NoError(t, syscall.Unmount(dir, syscall.MNT_DETACH)) })
	return dir
}

// fill writes a file that leaves that many bytes free.
func fill(t testing.TB, dir string, leave int64) (path string) {
	t.Helper()
	var fs syscall.Statfs_t
	require.NoError(t, syscall.Statfs(dir, &fs))
	path = filepath.Join(dir, "ballast")
	f, err := os.Create(path)
	require.NoError(t, err)
	defer f.Close()
	require.NoError(t, syscall.Fallocate(int(f.Fd()), 0, 0, int64(fs.Bavail)*fs.Bsize-leave))
	return path
}

func TestAFullDiskStopsNothingButTheClockAndLosesNothing(t *testing.T) {
	for _, protocol := range protocols {
		t.Run(protocol, func(t *testing.T) {
			t.Parallel()
			fillDisk(t, protocol)
		})
	}
}

func fillDisk(t *testing.T, protocol string) {
	disk := smallDisk(t, 256<<20)
	engine := startClickHouseOver(t, protocol, filepath.Join(disk, "clickhouse"))
	dir := t.TempDir()
	logPath := filepath.Join(dir, "access.log")
	log, err := os.Create(logPath)
	require.NoError(t, err)
	defer log.Close()
	config := filepath.Join(dir, "collector.yaml")
	require.NoError(t, os.WriteFile(config, fmt.Appendf(nil, pipelineConfig, dir, logPath, engine.dsn()), 0o600))
	collector := start(t, nil, binary(t), "--config", config)

	lines := 0
	write := func(n int) {
		var b strings.Builder
		for range n {
			b.WriteString(accessLine(lines, time.Now()))
			lines++
		}
		_, err := log.WriteString(b.String())
		require.NoError(t, err)
	}
	stored := func() string {
		got, err := query(engine.addr, "SELECT count(), uniqExact(connection_id) FROM events")
		return fmt.Sprint(got, err)
	}
	want := func() string { return fmt.Sprintf("%d\t%d<nil>", 2*lines, lines) }
	write(1000)
	eventually(t, 60*time.Second, "the first lines", func() (bool, string) { return stored() == want(), stored() })

	ballast := fill(t, disk, 1<<20)
	write(20000)
	eventually(t, 60*time.Second, "the sentence about the disk", func() (bool, string) {
		return strings.Contains(collector.out.String(), "disk"), collector.out.String()
	})
	require.NoError(t, os.Remove(ballast))
	eventually(t, 90*time.Second, "every line stored once", func() (bool, string) { return stored() == want(), stored() + want() })
	requireTiersEqualRecount(t, engine.addr)
	for line := range strings.Lines(collector.out.String()) {
		if strings.Contains(line, "disk") {
			t.Log(line)
			break
		}
	}
}
