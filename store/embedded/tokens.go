//go:build linux && amd64 && !noembedded

package embedded

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
)

// tokenAdded begins a line of a table's deduplication log: the operation, the part, the token's hash.
const tokenAdded = "1"

// A log as the engine writes it, and what a line of it may be that was cut off.
var (
	tokenLog = regexp.MustCompile(`\A([12]\t[^\t\n]+\t[^\t\n]+\n)*\z`)
	cutLine  = regexp.MustCompile(`\A([12](\t[^\t\n]*){0,2})?\z`)
)

// forgetUnstored makes every table of a data directory forget the tokens of inserts that it did not store. The engine
// notes a part's token before it renames the part to its final name; killed in between it would take the insert's
// repetition for a duplicate and lose the rows, in a table or behind a view. It does one after the other under a lock, so
// such tokens can only be the last of a log. A line that was cut off is removed too: the next would be appended to it.
//
// The data directory must exist. One that another engine has open is left alone.
func forgetUnstored(dataDir string) error {
	status, err := os.Open(filepath.Join(dataDir, "status"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil // a new one
	}
	if err != nil {
		return fmt.Errorf("data directory: %w", err)
	}
	defer status.Close()
	if err := syscall.Flock(int(status.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return nil //nolint:nilerr // the engine will say who has it
	}
	// Below the folder, whose own name may hold anything.
	tables, err := fs.Glob(os.DirFS(dataDir), "store/*/*/deduplication_logs")
	if err != nil {
		return err
	}
	for _, logs := range tables {
		if err := forgetUnstoredOf(filepath.Join(dataDir, logs)); err != nil {
			return fmt.Errorf("data directory: tokens of inserts: %w", err)
		}
	}
	return nil
}

func forgetUnstoredOf(logs string) error {
	files, err := fs.Glob(os.DirFS(logs), "deduplication_log_*.txt")
	if err != nil || len(files) == 0 {
		return err
	}
	number := func(name string) int {
		n, _ := strconv.Atoi(strings.TrimSuffix(strings.TrimPrefix(name, "deduplication_log_"), ".txt"))
		return n
	}
	slices.SortFunc(files, func(a, b string) int { return number(b) - number(a) })
	stored, err := partsOf(filepath.Dir(logs))
	if err != nil {
		return err
	}
	for _, name := range files {
		file := filepath.Join(logs, name)
		text, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		keep := storedTokens(text, stored)
		if keep < len(text) {
			if err := os.Truncate(file, int64(keep)); err != nil {
				return err
			}
		}
		if keep > 0 {
			return nil
		}
		// It was rotated a moment ago.
	}
	return nil
}

// storedTokens returns how much of a log to keep: all of one that is written otherwise than is known here.
func storedTokens(text []byte, stored []part) int {
	whole := bytes.LastIndexByte(text, '\n') + 1
	if !tokenLog.Match(text[:whole]) || !cutLine.Match(text[whole:]) {
		return len(text)
	}
	keep := whole
	for lost := ""; keep > 0; {
		last := bytes.LastIndexByte(text[:keep-1], '\n') + 1
		fields := strings.Split(string(text[last:keep-1]), "\t")
		added, ok := parsePart(fields[1])
		if fields[0] != tokenAdded || !ok || slices.ContainsFunc(stored, func(p part) bool { return p.covers(added) }) {
			return keep
		}
		if lost != "" && lost != fields[1] {
			// One insert leaves one such part. More of them are somewhere else.
			return whole
		}
		lost, keep = fields[1], last
	}
	return keep
}

// part is what the name of a part says: which inserts of a partition it holds.
type part struct {
	partition   string
	first, last uint64
}

func (p part) covers(q part) bool {
	return p.partition == q.partition && p.first <= q.first && q.last <= p.last
}

// parsePart reads partition_first_last_level, or that with a mutation behind it.
func parsePart(name string) (part, bool) {
	fields := strings.Split(name, "_")
	if len(fields) != 4 && len(fields) != 5 {
		return part{}, false
	}
	var numbers [4]uint64
	for i, field := range fields[1:] {
		var err error
		if numbers[i], err = strconv.ParseUint(field, 10, 64); err != nil {
			return part{}, false
		}
	}
	return part{fields[0], numbers[0], numbers[1]}, true
}

func partsOf(table string) ([]part, error) {
	entries, err := os.ReadDir(table)
	if err != nil {
		return nil, err
	}
	var parts []part
	for _, e := range entries {
		if p, ok := parsePart(e.Name()); ok && e.IsDir() {
			parts = append(parts, p)
		}
	}
	return parts, nil
}
