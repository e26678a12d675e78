package endpoint

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestTheMemoryLimitIsTheLeastOfAll(t *testing.T) {
	t.Parallel()
	const unlimited = "9223372036854771712\n" // of version 1
	for name, test := range map[string]struct {
		files map[string]string
		want  int64
	}{
		"the host alone": {map[string]string{"proc/self/cgroup": "0::/\n"}, 8 << 30},
		"its own cgroup": {map[string]string{
			"proc/self/cgroup": "0::/a/b\n", "sys/fs/cgroup/a/b/memory.max": "1073741824\n", "sys/fs/cgroup/a/memory.max": "max\n"}, 1 << 30},
		"one around it": {map[string]string{
			"proc/self/cgroup": "0::/a/b\n", "sys/fs/cgroup/a/b/memory.max": "max\n", "sys/fs/cgroup/a/memory.max": "536870912\n"}, 1 << 29},
		"a container's": {map[string]string{
			"proc/self/cgroup": "0::/../of/the/host\n", "sys/fs/cgroup/memory.max": "268435456\n"}, 1 << 28},
		"version 1": {map[string]string{
			"proc/self/cgroup": "5:cpu:/b\n4:memory:/a\n0::/\n", "sys/fs/cgroup/memory/a/memory.limit_in_bytes": "134217728\n",
			"sys/fs/cgroup/memory/memory.limit_in_bytes": unlimited, "sys/fs/cgroup/memory/b/memory.limit_in_bytes": "1\n"}, 1 << 27},
		"version 1 without a limit": {map[string]string{
			"proc/self/cgroup": "4:cpu,memory:/\n", "sys/fs/cgroup/memory/memory.limit_in_bytes": unlimited}, 8 << 30},
		"more than the host has": {map[string]string{"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/memory.max": "1099511627776\n"}, 8 << 30},
		"lines that are none":    {map[string]string{"proc/self/cgroup": "x\n::\n0::/\n"}, 8 << 30},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			root := t.TempDir()
			test.files["proc/meminfo"] = "MemFree: 1 kB\nMemTotal: 8388608 kB\n"
			for file, text := range test.files {
				require.NoError(t, os.MkdirAll(filepath.Dir(filepath.Join(root, file)), 0o700))
				require.NoError(t, os.WriteFile(filepath.Join(root, file), []byte(text), 0o600))
			}
			got, ok := memoryLimit(root)
			require.True(t, ok)
			require.Equal(t, test.want, got)
		})
	}
	_, ok := memoryLimit(t.TempDir())
	require.False(t, ok)
}
