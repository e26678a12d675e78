package piiprocessor

import (
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/sockeye-project/sockeye/processor/piiprocessor/redact"
)

// Remark says what was done to a field and why. It holds no value, and of keys only those that may be shown.
type Remark struct {
	// Field is the place: "body", "attributes.url.query".
	Field string
	redact.Remark
}

// Explain redacts ld as [Redactor.Logs] does and says what it did.
func (r *Redactor) Explain(ld plog.Logs) ([]Remark, Counts) {
	w := r.take()
	w.scanner.Explain()
	w.explaining = true
	w.logs(ld)
	remarks := w.remarks
	w.explaining, w.remarks = false, nil
	return remarks, r.release(w)
}

// ExplainText is [Redactor.Text] and says what it did.
func (r *Redactor) ExplainText(line string) (string, []Remark, Counts) {
	w := r.take()
	w.scanner.Explain()
	w.explaining = true
	out, _ := w.scanner.Text(line)
	w.note("text")
	remarks := w.remarks
	w.explaining, w.remarks = false, nil
	return out, remarks, r.release(w)
}

// removeAndNote is remove with remarks.
func (w *walker) removeAndNote(key string, v pcommon.Value) bool {
	field := w.field
	w.enter(key)
	gone := w.remove(key, v)
	w.leave(field)
	return gone
}

// note files the remarks since the last one under a field.
func (w *walker) note(field string) {
	if !w.explaining {
		return
	}
	for _, remark := range w.scanner.TakeRemarks() {
		w.remarks = append(w.remarks, Remark{field, remark})
	}
}

// enter makes key, below the field that is being walked, the field, and returns what to give leave.
func (w *walker) enter(key string) (outer string) {
	if !w.explaining {
		return ""
	}
	if !w.scanner.ShowsKey(key) {
		key = "(a key that is not shown)"
	}
	outer = w.field
	w.field = outer + "." + key
	return outer
}

func (w *walker) leave(outer string) {
	if !w.explaining {
		return
	}
	w.note(w.field)
	w.field = outer
}
