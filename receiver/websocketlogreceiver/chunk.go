package websocketlogreceiver

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"time"

	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"github.com/sockeye-project/sockeye/event"
	"github.com/sockeye-project/sockeye/internal/eventlog"
	"github.com/sockeye-project/sockeye/source"
	"github.com/sockeye-project/sockeye/source/format"
)

// eventsPerLine is room left in a chunk for the events of its last line, which stay together.
const eventsPerLine = 8

// assembler turns lines into the records of one chunk.
type assembler struct {
	r       *logReceiver
	parser  source.Parser
	options format.Options
	builder *eventlog.Builder
	receipt time.Time
	// latest is the greatest time at which the source says it wrote one of the records.
	latest time.Time
	emit   func(*event.Event)
	// bytes is what the chunk's lines have, before what those of the last chunk had.
	bytes, before int64

	lines, skipped, future int64
	malformed              map[string]int64
}

// newAssembler returns an assembler of lines in the configured format with these options.
func (r *logReceiver) newAssembler(o format.Options) *assembler {
	a := &assembler{r: r, parser: r.newParser(o), options: o, builder: eventlog.NewBuilder()}
	a.emit = a.add
	return a
}

// begin starts a chunk of lines received at that time.
func (a *assembler) begin(receipt time.Time) {
	a.builder.Reset()
	if a.bytes > 0 {
		a.before, a.bytes = a.bytes, 0
	}
	a.receipt, a.latest = receipt, time.Time{}
	a.lines, a.skipped, a.future, a.malformed = 0, 0, 0, nil
}

// expect says how many bytes of lines there are for the chunk that has begun, as far as is known. A file that has caught up
// must not take memory for a chunk as large as those before.
func (a *assembler) expect(bytes int64) {
	if bytes < a.before {
		a.builder.Expect(float64(bytes) / float64(a.before))
	}
}

// line adds a line's events. The error is that of a line that could not be read; it has been counted.
func (a *assembler) line(text []byte) error {
	a.lines++
	a.bytes += int64(len(text))
	err := a.parser.Parse(text, a.emit)
	if errors.Is(err, source.ErrSkipped) {
		a.skipped++
		return nil
	}
	if err != nil {
		a.fault(err)
	}
	return err
}

// tooLong counts a line of which only the bounds are known.
func (a *assembler) tooLong() error {
	a.lines++
	err := &source.Error{Reason: source.TooLong}
	a.fault(err)
	return err
}

func (a *assembler) fault(err error) {
	if a.malformed == nil {
		a.malformed = map[string]int64{}
	}
	a.malformed[source.ReasonOf(err)]++
}

func (a *assembler) add(e *event.Event) {
	if e.ClampFuture(a.receipt) {
		a.future++
	}
	if written := e.Observed; !written.IsZero() {
		if written.After(a.latest) {
			a.latest = written
		}
	} else if e.Time.After(a.latest) {
		a.latest = e.Time
	}
	a.builder.Add(e)
}

// count reports what was read; once a chunk, since a counter costs more than a line.
func (a *assembler) count(ctx context.Context) {
	t := a.r.telemetry
	t.ReceiverWebsocketlogLines.Add(ctx, a.lines)
	t.ReceiverWebsocketlogSkippedLines.Add(ctx, a.skipped)
	t.ReceiverWebsocketlogFutureTimes.Add(ctx, a.future)
	for reason, n := range a.malformed {
		t.ReceiverWebsocketlogMalformedLines.Add(ctx, n,
			metric.WithAttributeSet(attribute.NewSet(attribute.String("reason", reason))))
	}
}

// bounds are a chunk's place in its file, and its id. They are stored before the chunk is sent.
type bounds struct {
	ID    string `json:"id"`
	Start int64  `json:"start"`
	End   int64  `json:"end"`
	Lines int64  `json:"lines"`
	// Done is true once the chunk has been acknowledged, which one before it has not.
	Done bool `json:"done,omitempty"`

	// through is the time up to which all that had been written is in this chunk or before it, if Done.
	through time.Time
}

// chunk is a span of a file on its way.
type chunk struct {
	bounds
	// raw holds the lines that were parsed, each with a break. The pipeline may change the records it is given, so
	// another attempt needs new ones; the file itself may have been truncated by then.
	raw     *bytes.Buffer
	records int
	// repeated is true if the chunk may have been sent before.
	repeated bool
	latest   time.Time
	receipt  time.Time
	// atEnd is when the reader last found that the file had no more: all that had been written by then is in this
	// chunk or before it.
	atEnd time.Time
	// options are those of the parser that another attempt needs.
	options format.Options
	// logs is for the first attempt.
	logs plog.Logs
	// weight is what the chunk holds of the receiver's budget.
	weight int64
}

// again parses the chunk's lines once more. The parser is another than that of the file, which is further on by now.
func (c *chunk) again(a *assembler) plog.Logs {
	a.begin(c.receipt)
	for rest := c.raw.Bytes(); len(rest) > 0; {
		var line []byte
		line, rest, _ = bytes.Cut(rest, []byte{'\n'})
		_ = a.line(line) // reported the first time
	}
	return a.builder.Logs(eventlog.Chunk{ID: c.ID, Repeated: true})
}

// chunkID derives an id from parts that say which records these are: the same for the same records sent again, and
// another for any other. Each part is preceded by its length.
func chunkID(parts ...[]byte) string {
	h := sha256.New()
	for _, p := range parts {
		var n [8]byte
		for i := range n {
			n[i] = byte(len(p) >> (8 * i))
		}
		h.Write(n[:])
		h.Write(p)
	}
	return hex.EncodeToString(h.Sum(nil)[:16])
}
