package wire

import (
	"math"
	"time"
)

// Limits are the budgets of a [MessageReader]. A zero field means its default; [Unlimited] lifts a limit.
type Limits struct {
	// MessageBytes is the longest message, compressed as it came and inflated. Default 64 KiB. More is
	// [MessageTooBig]: at the header that announces it, or while inflating.
	MessageBytes int64
	// MessageFrames is how many frames a message may have. Default 1,024. More is [TooManyFrames].
	MessageFrames int64
	// InflateRatio is how many times its compressed length a message may inflate to. It counts above 16 KiB only: a short
	// message may repeat itself. Default 256: a document that is sent again, out of the window, comes to 140, and
	// DEFLATE ends at 1,032. More is [InflateRatioExceeded].
	InflateRatio int64
	// ControlFrames is how many control frames may come in a ControlInterval. Default 100. More is
	// [TooManyControlFrames].
	ControlFrames int64
	// ControlInterval is the time that ControlFrames counts over. Default 10 seconds.
	ControlInterval time.Duration
	// Now is the clock of ControlInterval; time.Now where it is nil.
	Now func() time.Time
}

// Unlimited lifts a limit of [Limits].
const Unlimited = math.MaxInt64

// DefaultLimits returns what the zero fields of [Limits] mean.
func DefaultLimits() Limits { return defaultLimits }

var defaultLimits = Limits{
	MessageBytes: 64 << 10, MessageFrames: 1024, InflateRatio: 256, ControlFrames: 100, ControlInterval: 10 * time.Second,
	Now: time.Now,
}

// ratioFloor is what a message may inflate to whatever its ratio.
const ratioFloor = 16 << 10

// or is a limit, or its default where it is not set.
func or[T int64 | time.Duration](limit, byDefault T) T {
	if limit <= 0 {
		return byDefault
	}
	return limit
}

func (l *Limits) messageBytes() int64  { return or(l.MessageBytes, defaultLimits.MessageBytes) }
func (l *Limits) messageFrames() int64 { return or(l.MessageFrames, defaultLimits.MessageFrames) }
func (l *Limits) inflateRatio() int64  { return or(l.InflateRatio, defaultLimits.InflateRatio) }
func (l *Limits) controlFrames() int64 { return or(l.ControlFrames, defaultLimits.ControlFrames) }

func (l *Limits) controlInterval() time.Duration {
	return or(l.ControlInterval, defaultLimits.ControlInterval)
}

func (l *Limits) now() time.Time {
	if l.Now == nil {
		return time.Now()
	}
	return l.Now()
}
