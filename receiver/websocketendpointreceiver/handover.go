package websocketendpointreceiver

import (
	"context"
	"os"
	"os/signal"
	"reflect"
	"sync"
	"syscall"
	"time"

	"go.opentelemetry.io/collector/component"
	"go.uber.org/zap"
)

// A collector reloads its configuration by shutting every component down and making new ones, and tells neither which of
// the two a shutdown is. What does tell is the signal: the collector reloads on SIGHUP and on nothing else that this binary
// has. So a shutdown soon after a SIGHUP leaves the endpoint as it is, for the next receiver of the same name to take over.
// Every other shutdown closes the connections; a doubt is a shutdown.

const (
	// reloadWithin is how long after a SIGHUP a shutdown is that of a reload. Receivers are the first to be shut down.
	reloadWithin = 10 * time.Second
	// noticeWithin is how much later than the collector we may notice a signal.
	noticeWithin = 50 * time.Millisecond
	// leftFor is how long an endpoint serves without a receiver, such as one that the new configuration does not have.
	leftFor = 30 * time.Second
)

// signals knows whether the process was told to reload or to end. It listens while it is used.
type signals struct {
	mu      sync.Mutex
	users   int
	in      chan os.Signal
	stop    chan struct{}
	noticed chan struct{} // closed at the next signal
	hangup  time.Time
	ending  bool
}

func (s *signals) use() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.users++; s.users > 1 {
		return
	}
	s.in, s.stop, s.noticed = make(chan os.Signal, 8), make(chan struct{}), make(chan struct{})
	s.hangup, s.ending = time.Time{}, false
	signal.Notify(s.in, syscall.SIGHUP, syscall.SIGTERM, os.Interrupt)
	go s.listen(s.in, s.stop)
}

func (s *signals) leave() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.users--; s.users == 0 {
		signal.Stop(s.in)
		close(s.stop)
	}
}

func (s *signals) listen(in <-chan os.Signal, stop <-chan struct{}) {
	for {
		select {
		case <-stop:
			return
		case sig := <-in:
			s.mu.Lock()
			if sig == syscall.SIGHUP {
				s.hangup = time.Now()
			} else {
				s.ending = true
			}
			close(s.noticed)
			s.noticed = make(chan struct{})
			s.mu.Unlock()
		}
	}
}

// reloading reports whether the shutdown that is going on is that of a reload.
func (s *signals) reloading() bool {
	limit := time.NewTimer(noticeWithin)
	defer limit.Stop()
	for {
		s.mu.Lock()
		noticed, ending := s.noticed, s.ending
		hungUp := !s.hangup.IsZero() && time.Since(s.hangup) < reloadWithin
		s.mu.Unlock()
		if ending || hungUp {
			return !ending
		}
		select {
		case <-noticed:
		case <-limit.C:
			return false
		}
	}
}

// shelf keeps endpoints between two receivers.
type shelf struct {
	mu   sync.Mutex
	left map[component.ID]*item
}

type item struct {
	serving *serving
	timer   *time.Timer
	// done is called once the item is nobody's any more.
	done func()
}

// process is what all receivers of the process share.
var process = struct {
	signals signals
	shelf   shelf
	sharing sharing
}{}

// leave keeps s for the next receiver of that id, for some time.
func (h *shelf) leave(id component.ID, s *serving, limit time.Duration, done func()) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.left == nil {
		h.left = map[component.ID]*item{}
	}
	i := &item{serving: s, done: done}
	i.timer = time.AfterFunc(limit, func() {
		h.mu.Lock()
		mine := h.left[id] == i
		if mine {
			delete(h.left, id)
		}
		h.mu.Unlock()
		if mine {
			i.discard(context.Background())
		}
	})
	h.left[id] = i
}

// take returns what was left under that id.
func (h *shelf) take(id component.ID) *serving {
	h.mu.Lock()
	i := h.left[id]
	delete(h.left, id)
	h.mu.Unlock()
	if i == nil {
		return nil
	}
	i.timer.Stop()
	i.done()
	return i.serving
}

// discard closes connections that no receiver wants. Nobody is there to store what is told of it.
func (i *item) discard(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, i.serving.cfg.Timeouts.Shutdown)
	defer cancel()
	i.serving.recorder.close()
	err := i.serving.shutdown(ctx)
	i.serving.logger.Load().Warn("an endpoint that no receiver took over was closed; its last events are lost",
		zap.Error(err))
	i.done()
}

// sameSection reports whether both sections say the same.
func sameSection(a, b *Config) bool { return reflect.DeepEqual(a, b) }

// Close closes the endpoints that a reload left and that no receiver took over, because the reload failed. It is for the end
// of a process that ran a collector.
func Close(ctx context.Context) {
	h := &process.shelf
	h.mu.Lock()
	left := h.left
	h.left = nil
	h.mu.Unlock()
	for _, i := range left {
		i.timer.Stop()
		i.discard(ctx)
	}
}
