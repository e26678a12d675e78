//go:build linux && amd64 && !noembedded

package embedded

import (
	"encoding/xml"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// configuration is what the library has no arguments for, or other defaults than a server.
//
// A part that was merged into another is kept for a minute: parts are not synced to the disk one by one, so the new one
// may be lost with the machine's power within half a minute of being written. A server keeps them for eight minutes, the
// library not at all. They are then removed within 20 seconds, not the up to 300 that the engine grants itself: each
// holds about 46 KiB of memory, and a chunk leaves nine of them. What removes them is two threads, not 128, each
// of which would stay and hold memory. Caches shall not fill what queries may use.
const configuration = `<clickhouse>
  <merge_tree>
    <old_parts_lifetime>60</old_parts_lifetime>
    <cleanup_delay_period>10</cleanup_delay_period>
    <cleanup_delay_period_random_add>0</cleanup_delay_period_random_add>
    <max_cleanup_delay_period>20</max_cleanup_delay_period>
  </merge_tree>
  <max_parts_cleaning_thread_pool_size>2</max_parts_cleaning_thread_pool_size>
  <max_server_memory_usage>%d</max_server_memory_usage>
  <mark_cache_size>%d</mark_cache_size>
  <index_mark_cache_size>%d</index_mark_cache_size>
  <backups><allowed_path>%s</allowed_path></backups>
</clickhouse>
`

// openConfiguration returns the configuration of an engine with so much memory and that data directory as a file in memory, which needs no
// place on a disk and goes with the process. The engine reads it once, at its start, by its path.
func openConfiguration(dataDir string, memory int64) (file *os.File, path string, err error) {
	fd, err := unix.MemfdCreate("engine.xml", unix.MFD_CLOEXEC)
	if err != nil {
		return nil, "", os.NewSyscallError("memfd_create", err)
	}
	file = os.NewFile(uintptr(fd), "engine.xml")
	var folder strings.Builder
	_ = xml.EscapeText(&folder, []byte(filepath.Join(dataDir, backupFolder)+"/"))
	if _, err := fmt.Fprintf(file, configuration, memory, memory/8, memory/16, &folder); err != nil {
		file.Close()
		return nil, "", err
	}
	return file, fmt.Sprintf("/proc/self/fd/%d", fd), nil
}
