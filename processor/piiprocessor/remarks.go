package piiprocessor

import (
	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/sockeye-project/sockeye/event"
	"github.com/sockeye-project/sockeye/processor/piiprocessor/redact"
)

var remarksKey = event.RedactionRemarks.String()

// writeRemarks adds what was done to a record since before was noted to the remarks that it has.
func (w *walker) writeRemarks(attributes pcommon.Map) {
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
