// Package format lists the formats that Sockeye reads, by the names that `format:` and `sockeye parse --format` take.
//
// It parses nothing itself. The invariant to keep: a format is in this list or nowhere, so that what the command shows
// is what the receiver makes of the same file.
package format

import (
	"fmt"
	"strings"

	"github.com/sockeye-project/sockeye/source"
	"github.com/sockeye-project/sockeye/source/ndjson"
	"github.com/sockeye-project/sockeye/source/nginx"
)

// Format is one row of the list.
type Format struct {
	Name string
	// Brief says in one line what it reads.
	Brief string
	// New returns a parser of it.
	New func(source.Settings) source.Parser
}

// The names.
const (
	NDJSON = "ndjson"
	Nginx  = "nginx"
)

var formats = []Format{
	{NDJSON, "Sockeye's own events, one JSON object a line",
		func(s source.Settings) source.Parser { return ndjson.NewParser(s) }},
	{Nginx, "nginx access log with a JSON log_format",
		func(s source.Settings) source.Parser { return nginx.NewParser(s) }},
}

// All returns the list. It must not be changed.
func All() []Format { return formats }

// Names returns the names, for messages: "ndjson, nginx".
func Names() string {
	names := make([]string, len(formats))
	for i, f := range formats {
		names[i] = f.Name
	}
	return strings.Join(names, ", ")
}

// Of returns the format with that name.
func Of(name string) (Format, error) {
	for _, f := range formats {
		if f.Name == name {
			return f, nil
		}
	}
	return Format{}, fmt.Errorf("must be one of %s, got %q", Names(), name)
}
