package websocketclickhouseexporter

import (
	"context"
	"errors"
	"strings"

	"go.opentelemetry.io/collector/exporter"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// calmed are settings for exporterhelper, which logs whatever it gives up as an error with a stack. A shutdown gives up
// what is on its way, and that is none: without a queue the source still has it, and so does a queue on disk. What a queue in
// memory gives up is lost, and stays an error.
func (c *Config) calmed(set exporter.Settings) exporter.Settings {
	queued := c.QueueConfig.HasValue()
	if !queued || c.QueueConfig.Get().StorageID != nil {
		set.Logger = set.Logger.WithOptions(zap.WrapCore(func(core zapcore.Core) zapcore.Core { return calm{core, queued} }))
	}
	return set
}

type calm struct {
	zapcore.Core
	// queued: what is given up at a shutdown is in a queue on disk.
	queued bool
}

func (c calm) With(fields []zapcore.Field) zapcore.Core { return calm{c.Core.With(fields), c.queued} }

func (c calm) Check(e zapcore.Entry, checked *zapcore.CheckedEntry) *zapcore.CheckedEntry {
	if c.Enabled(e.Level) {
		return checked.AddCore(e, c)
	}
	return checked
}

func (c calm) Write(e zapcore.Entry, fields []zapcore.Field) error {
	for _, f := range fields {
		err, ok := f.Interface.(error)
		if !ok || f.Type != zapcore.ErrorType {
			continue
		}
		cancelled := !c.queued && errors.Is(err, context.Canceled)
		if cancelled && e.Level < zapcore.ErrorLevel {
			return nil // that the request is sent again, for which nobody waits
		}
		text := ""
		switch {
		case cancelled, !c.queued && strings.HasPrefix(err.Error(), givenUp):
			text = "a source stopped waiting for what it sent; nothing was acknowledged, and it sends it again"
		case c.queued && strings.HasPrefix(err.Error(), shutDown):
			text = "what was not stored before the shutdown stays in the sending queue"
		}
		if text == "" {
			continue
		}
		e.Level, e.Message, e.Stack, fields = zapcore.InfoLevel, text, "", nil
		if !cancelled {
			fields = []zapcore.Field{f}
		}
		break
	}
	if checked := c.Core.Check(e, nil); checked != nil {
		checked.Write(fields...)
	}
	return nil
}

// The errors of exporterhelper's retries begin so, and have no types that are exported.
const (
	givenUp  = "request is cancelled or timed out: "
	shutDown = "interrupted due to shutdown: "
)
