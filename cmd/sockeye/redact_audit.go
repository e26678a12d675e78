package main

import (
	"context"
	"fmt"
	"io"
	"os"

	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/sockeye-project/sockeye/processor/piiprocessor"
	"github.com/sockeye-project/sockeye/processor/piiprocessor/audit"
)

// runAudit measures redactor on labelled files.
func (o *redactOptions) runAudit(
	ctx context.Context, redactor *piiprocessor.Redactor, files []string, stdin io.Reader, stdout io.Writer,
) error {
	auditor := audit.New(func(ld plog.Logs) { redactor.Logs(ld) })
	for _, name := range files {
		if err := auditFile(ctx, auditor, name, stdin); err != nil {
			return err
		}
	}
	if o.output == "json" {
		return auditor.Report().WriteJSON(stdout)
	}
	return auditor.Report().WriteTable(stdout)
}

func auditFile(ctx context.Context, auditor *audit.Auditor, name string, stdin io.Reader) error {
	in := stdin
	if name == "-" {
		name = "stdin"
	} else {
		f, err := os.Open(name)
		if err != nil {
			return err
		}
		defer f.Close()
		in = f
	}
	for row, err := range audit.Rows(in) {
		if err == nil {
			err = ctx.Err()
		}
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		auditor.Add(row)
	}
	return nil
}
