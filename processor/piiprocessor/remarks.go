package piiprocessor

import (
	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/sockeye-project/sockeye/event"
	"github.com/sockeye-project/sockeye/processor/piiprocessor/redact"
)

var remarksKey = event.RedactionRemarks.String()

// beginRemarks remembers what had been done before the record.
func (w *walker) beginRemarks() {
	if w.remarking {
		w.before = w.scanner.Counts
	}
}

// writeRemarks adds what was done to a record to the remarks that it has.
func (w *walker) writeRemarks(attributes pcommon.Map) {
	if !w.remarking {
		return
	}
	done := Counts(w.scanner.Counts)
	for r := range done {
		for a := range done[r] {
			done[r][a] -= w.before[r][a]
		}
	}
	if done == (Counts{}) {
		return
	}
	if v, ok := attributes.Get(remarksKey); ok {
		if earlier, ok := redact.ParseRemarks(v.Str()); ok {
			done.add(&earlier)
		}
	}
	attributes.PutStr(remarksKey, redact.FormatRemarks(done))
}
