package websocketlogreceiver

import (
	"cmp"
	"context"
	"slices"
	"time"

	"go.uber.org/zap"
)

// ship stores the chunk's bounds, and with them what has been acknowledged since the last chunk: one write a chunk. Then
// it sends the chunk.
func (t *tail) ship(ctx context.Context, c *chunk) error {
	t.mu.Lock()
	t.state.Pending = append(slices.Clone(t.state.Pending), c.bounds)
	t.unsaved = cmp.Or(t.unsaved, t.r.now())
	// It may be in this chunk; the end of the file will tell.
	t.partial = 0
	t.mu.Unlock()
	t.advance(c.bounds)
	if err := t.persist(ctx); err != nil {
		t.r.budget.Release(c.weight)
		return err
	}
	t.send(ctx, c)
	return nil
}

// send delivers a chunk whose bounds are stored, beside the others that are on their way.
func (t *tail) send(ctx context.Context, c *chunk) {
	t.mu.Lock()
	t.flying++
	t.mu.Unlock()
	t.flights.Go(func() {
		var err error
		if c.records > 0 {
			err = t.r.deliver(ctx, c)
		}
		t.land(c, err == nil)
	})
}

// land ends a delivery. What has been acknowledged is stored with the next chunk, or by flush.
func (t *tail) land(c *chunk, acknowledged bool) {
	t.r.raws.Put(c.raw)
	t.r.budget.Release(c.weight)
	then := c.latest
	if c.atEnd.After(then) {
		then = c.atEnd
	}
	t.mu.Lock()
	t.flying--
	if acknowledged {
		if through := t.state.acknowledge(c.ID, then); through.After(t.through) {
			t.through = through
		}
		t.unsaved = cmp.Or(t.unsaved, t.r.now())
	}
	t.mu.Unlock()
	select {
	case t.landed <- struct{}{}:
	default:
	}
}

// until waits for deliveries to end until enough have, as ok says, which is called with t.mu held; false if ctx ends.
func (t *tail) until(ctx context.Context, ok func() bool) bool {
	for ctx.Err() == nil {
		t.mu.Lock()
		enough := ok()
		t.mu.Unlock()
		if enough {
			return true
		}
		select {
		case <-t.landed:
		case <-ctx.Done():
		case <-time.After(t.flushAfter()):
			_ = t.flush(ctx) // ctx is looked at
		}
	}
	return false
}

// settle waits until no chunk is on its way, and stores what has been acknowledged. ctx may have ended.
func (t *tail) settle(ctx context.Context) {
	t.flights.Wait()
	t.mu.Lock()
	unsaved := !t.unsaved.IsZero()
	t.mu.Unlock()
	if unsaved {
		// Without it, chunks that are stored would be sent again, which is harmless.
		_ = t.save(context.WithoutCancel(ctx))
	}
}

// flushAfter is how long an acknowledgement waits for the next chunk to be stored with.
func (t *tail) flushAfter() time.Duration { return 2 * t.r.cfg.Chunk.MaxAge }

// flush stores what has been acknowledged if no chunk has come to be stored with it.
func (t *tail) flush(ctx context.Context) error {
	t.mu.Lock()
	since := t.unsaved
	t.mu.Unlock()
	if since.IsZero() || t.r.now().Sub(since) < t.flushAfter() {
		return nil
	}
	return t.persist(ctx)
}

// save stores the state as it is.
func (t *tail) save(ctx context.Context) error {
	t.mu.Lock()
	s, since := t.state, t.unsaved
	t.unsaved = time.Time{}
	t.mu.Unlock()
	err := t.r.checkpoint.save(ctx, t.key, s)
	if err != nil {
		t.mu.Lock()
		t.unsaved = cmp.Or(since, t.unsaved)
		t.mu.Unlock()
	}
	return err
}

// persist stores the state, and tries until it can: what is not stored must not be sent.
func (t *tail) persist(ctx context.Context) error {
	for failed := false; ; {
		err := t.save(ctx)
		if err == nil {
			if failed {
				t.r.logger.Info("offsets can be stored again", t.field())
			}
			return nil
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if !failed {
			t.r.logger.Error("offset cannot be stored; the file waits until it can", t.field(), zap.Error(err))
			failed = true
		}
		if !wait(ctx, time.Second) {
			return ctx.Err()
		}
	}
}
