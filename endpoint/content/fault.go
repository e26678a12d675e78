package content

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Fault is one thing wrong in a manifest or a schema. It quotes what their author wrote, never a message.
type Fault struct {
	File         string
	Line, Column int
	// Path is the key at fault, such as "protocols[0].messages[2].schema", or a JSON pointer into a schema.
	Path string
	What string
}

// String is one line: file:line:col: path: what.
func (f Fault) String() string {
	text := f.File
	if f.Line > 0 {
		text = fmt.Sprintf("%s:%d:%d", f.File, f.Line, f.Column)
	}
	if f.Path != "" {
		text += ": " + f.Path
	}
	return text + ": " + f.What
}

// Faults is the error of [Load]: all of them, in the order of files and lines.
type Faults []Fault

// Error is one line for each fault.
func (fs Faults) Error() string {
	lines := make([]string, len(fs))
	for i, f := range fs {
		lines[i] = f.String()
	}
	return strings.Join(lines, "\n")
}

func (fs Faults) err() error {
	if len(fs) == 0 {
		return nil
	}
	slices.SortStableFunc(fs, func(a, b Fault) int {
		return cmp.Or(cmp.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
	})
	return slices.Compact(fs)
}
