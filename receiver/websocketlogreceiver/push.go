package websocketlogreceiver

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/klauspost/compress/zstd"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/config/confighttp"
	"go.opentelemetry.io/collector/consumer/consumererror"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	"go.uber.org/zap"

	"github.com/sockeye-project/sockeye/internal/eventlog"
	"github.com/sockeye-project/sockeye/source"
)

const (
	// maxFaults is how many of a request's faults its response names.
	maxFaults = 100
	// maxIdempotencyKey is more than any UUID or hash needs.
	maxIdempotencyKey = 256
	// maxZstdWindow is what RFC 9659 §3 allows in Content-Encoding; without it a frame of a few bytes can ask for
	// half a gigabyte.
	maxZstdWindow = 8 << 20
	// retryAfter is what a sender is asked to wait.
	retryAfter = 5 * time.Second
	// shutdownGrace is how long requests in flight may take to end by themselves.
	shutdownGrace = time.Second
	// refusalMemory is how long progress is held back for a sender that was refused and has not come again.
	refusalMemory = time.Minute
)

// pushServer accepts lines by HTTP. A request is stored wholly or, as far as its sender can tell, not at all.
type pushServer struct {
	r      *logReceiver
	cfg    *HTTPConfig
	server *http.Server
	addr   net.Addr
	places chan struct{}
	// parsers are kept between requests.
	parsers sync.Pool
	bytes   atomic.Int64
	ctx     context.Context
	done    sync.WaitGroup

	mu sync.Mutex
	// oldest tells when each request in flight arrived.
	inFlight map[*http.Request]time.Time
	// refused is when the first request arrived that was refused and not followed by a success.
	refused time.Time
}

func newPushServer(r *logReceiver, cfg *HTTPConfig) *pushServer {
	p := &pushServer{r: r, cfg: cfg, places: make(chan struct{}, cfg.MaxInFlight), inFlight: map[*http.Request]time.Time{}}
	p.parsers.New = func() any { return r.newAssembler(r.options) }
	return p
}

func (p *pushServer) start(ctx context.Context, host component.Host) error {
	p.ctx = ctx
	mux := http.NewServeMux()
	mux.HandleFunc("POST "+p.cfg.Path, p.handle)
	listener, err := p.cfg.Server.ToListener(ctx)
	if err != nil {
		return fmt.Errorf("http.endpoint: %w; choose a free address", err)
	}
	p.server, err = p.cfg.Server.ToServer(ctx, host.GetExtensions(), p.r.settings.TelemetrySettings, mux,
		confighttp.WithDecoder("zstd", decodeZstd),
		confighttp.WithDecoder("identity", func(io.ReadCloser) (io.ReadCloser, error) { return nil, nil }),
		confighttp.WithErrorHandler(func(w http.ResponseWriter, r *http.Request, _ string, status int) {
			p.answer(w, r, status, response{Error: "Content-Encoding must be gzip, zstd or identity, and the body match it"})
		}))
	if err != nil {
		_ = listener.Close()
		return fmt.Errorf("http: %w", err)
	}
	p.addr = listener.Addr()
	p.done.Go(func() {
		if err := p.server.Serve(listener); err != nil && !errors.Is(err, http.ErrServerClosed) {
			p.r.logger.Error("HTTP server ended", zap.Error(err))
		}
	})
	return nil
}

func decodeZstd(body io.ReadCloser) (io.ReadCloser, error) {
	d, err := zstd.NewReader(body, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(maxZstdWindow),
		zstd.WithDecoderLowmem(true))
	if err != nil {
		return nil, err
	}
	return d.IOReadCloser(), nil
}

// shutdown lets requests end that can, and cancels the rest with the receiver's context.
func (p *pushServer) shutdown(ctx context.Context) error {
	grace, cancel := context.WithTimeout(ctx, shutdownGrace)
	defer cancel()
	err := p.server.Shutdown(grace)
	p.r.cancel()
	if err != nil && ctx.Err() == nil {
		err = p.server.Shutdown(ctx)
	}
	p.done.Wait()
	return err
}

// response is the body of every answer.
type response struct {
	Error  string  `json:"error,omitempty"`
	Faults []fault `json:"faults,omitempty"`
	// Omitted is how many faults there were beyond those listed.
	Omitted int `json:"omitted,omitempty"`

	Lines   int64 `json:"lines,omitempty"`
	Events  int   `json:"events,omitempty"`
	Skipped int64 `json:"skipped,omitempty"`
	Chunks  int   `json:"chunks,omitempty"`
}

type fault struct {
	Line   int64  `json:"line"`
	Reason string `json:"reason"`
	Detail string `json:"detail"`
}

func (p *pushServer) answer(w http.ResponseWriter, r *http.Request, status int, body response) {
	p.r.telemetry.ReceiverWebsocketlogRequests.Add(r.Context(), 1,
		metric.WithAttributeSet(attribute.NewSet(attribute.Int("status", status))))
	w.Header().Set("Content-Type", "application/json")
	if status == http.StatusTooManyRequests || status == http.StatusServiceUnavailable {
		w.Header().Set("Retry-After", strconv.Itoa(int(retryAfter/time.Second)))
	}
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body) // the client may be gone
}

func (p *pushServer) handle(w http.ResponseWriter, r *http.Request) {
	arrived := p.r.now()
	select {
	case p.places <- struct{}{}:
		defer func() { <-p.places }()
	default:
		p.refuse(arrived)
		p.answer(w, r, http.StatusTooManyRequests, response{Error: "too many requests in flight; try again later"})
		return
	}
	p.mu.Lock()
	p.inFlight[r] = arrived
	p.mu.Unlock()
	defer func() {
		p.mu.Lock()
		delete(p.inFlight, r)
		p.mu.Unlock()
	}()
	key := r.Header.Get("Idempotency-Key")
	if len(key) > maxIdempotencyKey {
		p.answer(w, r, http.StatusBadRequest, response{
			Error: fmt.Sprintf("Idempotency-Key must have at most %d bytes", maxIdempotencyKey)})
		return
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		p.answerRead(w, r, err)
		return
	}
	p.bytes.Add(int64(len(body)))
	defer p.bytes.Add(-int64(len(body)))

	a := p.parsers.Get().(*assembler)
	defer p.parsers.Put(a)
	chunks, answer := p.cut(r.Context(), a, body, key, arrived)
	if len(answer.Faults) > 0 {
		answer.Error = "lines could not be read, and nothing of this request was stored; correct them and send it again"
		p.answer(w, r, http.StatusBadRequest, answer)
		return
	}
	p.deliver(w, r, chunks, answer, arrived)
}

// answerRead answers a request whose body could not be read.
func (p *pushServer) answerRead(w http.ResponseWriter, r *http.Request, err error) {
	var tooLarge *http.MaxBytesError
	if errors.As(err, &tooLarge) {
		p.answer(w, r, http.StatusRequestEntityTooLarge, response{
			Error: fmt.Sprintf("the body must have at most %d bytes, decompressed", p.cfg.Server.MaxRequestBodySize)})
		return
	}
	p.answer(w, r, http.StatusBadRequest, response{Error: "the body is not what Content-Encoding says, or ended early"})
}

// pushed is one chunk of a request.
type pushed struct {
	logs    plog.Logs
	records int
}

// cut parses a body and cuts it into chunks, by records and bytes alone: the same body is cut alike every time. A
// chunk's id follows from the Idempotency-Key and the body, so a key that a sender uses twice by mistake loses nothing.
func (p *pushServer) cut(
	ctx context.Context, a *assembler, body []byte, key string, arrived time.Time,
) (chunks []pushed, answer response) {
	limits := p.r.cfg.Chunk
	id := func(int, int) string { return newFileKey() }
	// A sender may repeat a key a day later, and nobody here remembers it.
	repeated := key != ""
	if repeated {
		sum := sha256.Sum256(body)
		id = func(start, end int) string {
			return chunkID([]byte("push"), []byte(key), sum[:], []byte(fmt.Sprintf("%d-%d", start, end)))
		}
	}
	start, at := 0, 0
	flush := func() {
		a.count(ctx)
		answer.Lines += a.lines
		answer.Skipped += a.skipped
		if n := a.builder.Records(); n > 0 {
			chunks = append(chunks, pushed{a.builder.Logs(eventlog.Chunk{ID: id(start, at), Repeated: repeated}), n})
			answer.Events += n
			answer.Chunks++
		}
		start = at
	}
	begin := func() {
		a.begin(arrived)
		a.expect(int64(len(body) - at))
	}
	begin()
	number := int64(0)
	for at < len(body) {
		line := body[at:]
		if i := bytes.IndexByte(line, '\n'); i >= 0 {
			line = line[:i]
			at++
		}
		at += len(line)
		number++
		var err error
		if line = bytes.TrimSuffix(line, []byte{'\r'}); len(line) > p.r.cfg.MaxLineBytes {
			err = a.tooLong()
		} else {
			err = a.line(line)
		}
		if err != nil {
			if len(answer.Faults) < maxFaults {
				answer.Faults = append(answer.Faults, fault{number, source.ReasonOf(err), err.Error()})
			} else {
				answer.Omitted++
			}
		}
		if len(answer.Faults) > 0 {
			// Only the other faults are still of interest.
			if a.builder.Records() > 0 {
				flush()
				begin()
			}
			chunks = nil
			continue
		}
		if a.builder.Records() > limits.MaxRecords-eventsPerLine || at-start >= limits.MaxBytes {
			flush()
			begin()
		}
	}
	flush()
	return chunks, answer
}

// deliver hands the chunks to the pipeline in order. Where one is refused the sender has to send all of it again;
// with an Idempotency-Key, those that were stored are not stored twice.
func (p *pushServer) deliver(
	w http.ResponseWriter, r *http.Request, chunks []pushed, answer response, arrived time.Time,
) {
	ctx, cancel := context.WithTimeout(r.Context(), p.cfg.Timeout)
	defer cancel()
	defer context.AfterFunc(p.ctx, cancel)()
	for _, c := range chunks {
		err := p.r.consume(ctx, c.logs, c.records)
		switch {
		case err == nil:
		case consumererror.IsPermanent(err):
			p.r.logger.Error("the pipeline refuses a pushed chunk for good", zap.Error(err))
			p.answer(w, r, http.StatusInternalServerError, response{
				Error: "the pipeline refused this for good; sending it again will not help until it is corrected"})
			return
		default:
			p.refuse(arrived)
			p.answer(w, r, http.StatusServiceUnavailable, response{
				Error: "the pipeline cannot take this now; send it again, with the same Idempotency-Key"})
			return
		}
	}
	p.mu.Lock()
	p.refused = time.Time{}
	p.mu.Unlock()
	p.answer(w, r, http.StatusOK, answer)
}

func (p *pushServer) refuse(arrived time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.refused.IsZero() {
		p.refused = arrived
	}
}

// progress returns the time before which no request is unanswered, and the bytes in flight. What a sender holds back
// after a refusal is unknown, so the time of the refusal counts until it comes again.
func (p *pushServer) progress(now time.Time) (time.Time, int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	through := now
	for _, arrived := range p.inFlight {
		if arrived.Before(through) {
			through = arrived
		}
	}
	if now.Sub(p.refused) > refusalMemory {
		p.refused = time.Time{}
	}
	if !p.refused.IsZero() && p.refused.Before(through) {
		through = p.refused
	}
	return through, p.bytes.Load()
}
