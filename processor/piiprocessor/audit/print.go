package audit

import (
	"encoding/json"
	"fmt"
	"io"
	"text/tabwriter"
)

// WriteTable writes the report for people.
func (r *Report) WriteTable(w io.Writer) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "type\tvalues\tgone %\tlook-alikes\tkept %\tprecision %\t")
	for _, typ := range r.Types {
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t\n", typ.Type, cells(typ.Gone), cells(typ.LookAlikes), precision(typ))
	}
	if err := t.Flush(); err != nil {
		return err
	}
	_, err := fmt.Fprintf(w, "\n%d rows\nsafe values kept: %s\nwords outside labels kept: %s\n",
		r.Rows, sentence(r.SafeKept), sentence(r.WordsKept))
	return err
}

func cells(s Share) string {
	if s.Total == 0 {
		return "-\t-"
	}
	return fmt.Sprintf("%d\t%.2f", s.Total, s.Percent())
}

func precision(t Type) string {
	if t.LookAlikes.Total == 0 || t.Gone.Total == 0 {
		return "-"
	}
	return fmt.Sprintf("%.2f", t.Precision())
}

func sentence(s Share) string {
	if s.Total == 0 {
		return "none labelled"
	}
	return fmt.Sprintf("%d of %d (%.2f %%)", s.Count, s.Total, s.Percent())
}

// WriteJSON writes the report for programs.
func (r *Report) WriteJSON(w io.Writer) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(r)
}
