package websocketendpointreceiver

import (
	"crypto/rand"
	"encoding/hex"
	"sync"

	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/sockeye-project/sockeye/event"
	"github.com/sockeye-project/sockeye/internal/eventlog"
)

// recorder keeps events, an endpoint's Observer.
type recorder = lane[*event.Event]

// lane keeps what an endpoint tells until the pipeline has it. It outlives receivers: a reload hands it on with the endpoint.
//
// It is bounded: while it is full, Observe waits, and so does the endpoint, as far as it says. Messages do not wait for that.
// Of spans, what there is no room for is lost.
type lane[T any] struct {
	mu      sync.Mutex
	room    sync.Cond
	max     int
	drops   bool
	waiting []T
	// current is the chunk that was cut and is not settled. It is the front of waiting.
	current batch[T]
	closed  bool
	// lost counts what came when it was closed, or was refused for good.
	lost int64
	// some has a token when something waits.
	some chan struct{}
}

// batch is a chunk on its way: the same events under the same id, however often it is sent.
type batch[T any] struct {
	id    string
	items []T
	sent  bool
}

func newRecorder(most int) *recorder { return newLane[*event.Event](most, false) }

func newLane[T any](most int, drops bool) *lane[T] {
	r := &lane[T]{max: most, drops: drops, some: make(chan struct{}, 1)}
	r.room.L = &r.mu
	return r
}

// Observe implements endpoint.Observer.
func (r *lane[T]) Observe(e T) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for len(r.waiting) >= r.max && !r.closed && !r.drops {
		r.room.Wait()
	}
	if r.closed || len(r.waiting) >= r.max {
		r.lost++
		return
	}
	r.waiting = append(r.waiting, e)
	r.remind()
}

// cut returns the chunk to send next: the one that is not settled, else a new one of at most n events. There is none if
// nothing waits.
func (r *lane[T]) cut(n int) (batch[T], bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.current.items) == 0 {
		n = min(n, len(r.waiting))
		if n == 0 {
			return batch[T]{}, false
		}
		var id [16]byte
		_, _ = rand.Read(id[:])
		r.current = batch[T]{id: hex.EncodeToString(id[:]), items: r.waiting[:n:n]}
	}
	b := r.current
	r.current.sent = true
	return b, true
}

// settle forgets the chunk that was cut: the pipeline has it, or refused it for good.
func (r *lane[T]) settle(lost bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	n := len(r.current.items)
	if lost {
		r.lost += int64(n)
	}
	clear(r.waiting[:n])
	if r.waiting = r.waiting[n:]; len(r.waiting) == 0 {
		r.waiting = nil
	}
	r.current = batch[T]{}
	r.room.Broadcast()
}

// close makes it take no more. It returns how many events wait, which are lost unless somebody still sends them.
func (r *lane[T]) close() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.closed = true
	r.room.Broadcast()
	return len(r.waiting)
}

// resize changes how many may wait.
func (r *lane[T]) resize(most int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.max = most
	r.room.Broadcast()
}

// state returns how much waits, the first of it if there is one, and how much was lost since the last call.
func (r *lane[T]) state() (waiting int, oldest T, lost int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.waiting) > 0 {
		oldest = r.waiting[0]
	}
	lost, r.lost = r.lost, 0
	return len(r.waiting), oldest, lost
}

// count returns how much waits.
func (r *lane[T]) count() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.waiting)
}

// remind says that something waits, to who comes next.
func (r *lane[T]) remind() {
	select {
	case r.some <- struct{}{}:
	default:
	}
}

// logsOf makes the records anew: the pipeline may change those that it is given.
func logsOf(b batch[*event.Event]) plog.Logs {
	builder := eventlog.NewBuilder()
	for _, e := range b.items {
		builder.Add(e)
	}
	return builder.Logs(eventlog.Chunk{ID: b.id, Repeated: b.sent})
}
