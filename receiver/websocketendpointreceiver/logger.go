package websocketendpointreceiver

import (
	"context"
	"log/slog"
	"sync/atomic"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// relay is a slog.Handler that writes to a zap.Logger, which a reload of the configuration changes.
type relay struct {
	to   *atomic.Pointer[zap.Logger]
	with []zap.Field
}

var _ slog.Handler = relay{}

func levelOf(l slog.Level) zapcore.Level {
	switch {
	case l >= slog.LevelError:
		return zapcore.ErrorLevel
	case l >= slog.LevelWarn:
		return zapcore.WarnLevel
	case l >= slog.LevelInfo:
		return zapcore.InfoLevel
	}
	return zapcore.DebugLevel
}

// Enabled implements slog.Handler.
func (r relay) Enabled(_ context.Context, l slog.Level) bool {
	return r.to.Load().Core().Enabled(levelOf(l))
}

// Handle implements slog.Handler.
func (r relay) Handle(_ context.Context, record slog.Record) error {
	fields := append([]zap.Field(nil), r.with...)
	record.Attrs(func(a slog.Attr) bool {
		fields = append(fields, zap.Any(a.Key, a.Value.Any()))
		return true
	})
	r.to.Load().Log(levelOf(record.Level), record.Message, fields...)
	return nil
}

// WithAttrs implements slog.Handler.
func (r relay) WithAttrs(attrs []slog.Attr) slog.Handler {
	for _, a := range attrs {
		r.with = append(r.with[:len(r.with):len(r.with)], zap.Any(a.Key, a.Value.Any()))
	}
	return r
}

// WithGroup implements slog.Handler. Endpoints make no groups.
func (r relay) WithGroup(string) slog.Handler { return r }
