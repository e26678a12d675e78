package websocketlogreceiver

import (
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/sockeye-project/sockeye/source"
)

// reporter logs lines that could not be read, at most maxReports in reportInterval: the metric has them all.
type reporter struct {
	logger *zap.Logger
	now    func() time.Time

	mu         sync.Mutex
	since      time.Time
	n          int
	suppressed int
}

const (
	maxReports     = 10
	reportInterval = 10 * time.Second
)

// line reports one line by its place, never by its content. number is -1 where it is not known.
func (r *reporter) line(path string, number, offset int64, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if now := r.now(); now.Sub(r.since) >= reportInterval {
		if r.suppressed > 0 {
			r.logger.Warn("more lines could not be read than are reported", zap.Int("lines", r.suppressed))
		}
		r.since, r.n, r.suppressed = now, 0, 0
	}
	if r.n++; r.n > maxReports {
		r.suppressed++
		return
	}
	fields := []zap.Field{zap.String("log.file.path", path)}
	if number > 0 {
		fields = append(fields, zap.Int64("line", number))
	}
	r.logger.Warn("line could not be read", append(fields, zap.Int64("offset", offset),
		zap.String("reason", source.ReasonOf(err)), zap.Error(err))...)
}
