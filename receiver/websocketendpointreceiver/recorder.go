package websocketendpointreceiver

import (
	"crypto/rand"
	"encoding/hex"
	"sync"
	"time"

	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/sockeye-project/sockeye/event"
	"github.com/sockeye-project/sockeye/internal/eventlog"
)

// recorder keeps what an endpoint tells until the pipeline has it. It is the endpoint's Observer, and outlives receivers: a
// reload hands it on with the endpoint.
//
// It is bounded: while it is full, Observe waits, and so does the endpoint, as far as it says. Messages do not wait for that.
type recorder struct {
	mu      sync.Mutex
	room    sync.Cond
	max     int
	waiting []*event.Event
	// current is the chunk that was cut and is not settled. It is the front of waiting.
	current batch
	closed  bool
	// lost counts what came when it was closed, or was refused for good.
	lost int64
	// some has a token when something waits.
	some chan struct{}
}

// batch is a chunk on its way: the same events under the same id, however often it is sent.
type batch struct {
	id     string
	events []*event.Event
	sent   bool
}

func newRecorder(most int) *recorder {
	r := &recorder{max: most, some: make(chan struct{}, 1)}
	r.room.L = &r.mu
	return r
}

// Observe implements endpoint.Observer.
func (r *recorder) Observe(e *event.Event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for len(r.waiting) >= r.max && !r.closed {
		r.room.Wait()
	}
	if r.closed {
		r.lost++
		return
	}
	r.waiting = append(r.waiting, e)
	r.remind()
}

// cut returns the chunk to send next: the one that is not settled, else a new one of at most n events. There is none if
// nothing waits.
func (r *recorder) cut(n int) (batch, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.current.events) == 0 {
		n = min(n, len(r.waiting))
		if n == 0 {
			return batch{}, false
		}
		var id [16]byte
		_, _ = rand.Read(id[:])
		r.current = batch{id: hex.EncodeToString(id[:]), events: r.waiting[:n:n]}
	}
	b := r.current
	r.current.sent = true
	return b, true
}

// settle forgets the chunk that was cut: the pipeline has it, or refused it for good.
func (r *recorder) settle(lost bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	n := len(r.current.events)
	if lost {
		r.lost += int64(n)
	}
	clear(r.waiting[:n])
	if r.waiting = r.waiting[n:]; len(r.waiting) == 0 {
		r.waiting = nil
	}
	r.current = batch{}
	r.room.Broadcast()
}

// close makes it take no more. It returns how many events wait, which are lost unless somebody still sends them.
func (r *recorder) close() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.closed = true
	r.room.Broadcast()
	return len(r.waiting)
}

// resize changes how many may wait.
func (r *recorder) resize(most int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.max = most
	r.room.Broadcast()
}

// state returns how many events wait, when the first of them happened, and how many were lost since the last call.
func (r *recorder) state() (waiting int, oldest time.Time, lost int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.waiting) > 0 {
		oldest = r.waiting[0].Time
	}
	lost, r.lost = r.lost, 0
	return len(r.waiting), oldest, lost
}

// count returns how many events wait.
func (r *recorder) count() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.waiting)
}

// remind says that something waits, to who comes next.
func (r *recorder) remind() {
	select {
	case r.some <- struct{}{}:
	default:
	}
}

// logs makes the records anew: the pipeline may change those that it is given.
func (b *batch) logs() plog.Logs {
	builder := eventlog.NewBuilder()
	for _, e := range b.events {
		builder.Add(e)
	}
	return builder.Logs(eventlog.Chunk{ID: b.id, Repeated: b.sent})
}
