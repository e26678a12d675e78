package websocketclickhouseexporter

import (
	"context"
	"slices"
	"sync"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/extension/xextension/storage"
)

// carefulHost gives the sending queue a storage with which it loses nothing, in two places where it otherwise would.
//
// When the queue starts it moves the requests that were being sent when the collector died to its end. It deletes them first
// and writes them again after, so that a second death in between would lose them. So nothing is deleted before it has
// started.
//
// When it takes a request out it reads it and notes that in one step, and drops the request if the step fails, as on a full
// disk. So what can be read is read, even if nothing can be noted.
//
// Either can only send a request twice, which changes nothing in ClickHouse.
type carefulHost struct {
	component.Host
	storage component.ID

	mu      sync.Mutex
	started bool
	held    []func(context.Context) error
}

func (h *carefulHost) GetExtensions() map[component.ID]component.Component {
	extensions := make(map[component.ID]component.Component)
	for id, extension := range h.Host.GetExtensions() {
		if s, ok := extension.(storage.Extension); ok && id == h.storage {
			extension = carefulStorage{s, h}
		}
		extensions[id] = extension
	}
	return extensions
}

// release deletes what was to be deleted while the queue started.
func (h *carefulHost) release(ctx context.Context) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.started = true
	for _, run := range h.held {
		if err := run(ctx); err != nil {
			return err
		}
	}
	h.held = nil
	return nil
}

type carefulStorage struct {
	storage.Extension
	host *carefulHost
}

func (s carefulStorage) GetClient(
	ctx context.Context, kind component.Kind, id component.ID, name string,
) (storage.Client, error) {
	client, err := s.Extension.GetClient(ctx, kind, id, name)
	if err != nil {
		return nil, err
	}
	return carefulClient{client, s.host}, nil
}

type carefulClient struct {
	storage.Client
	host *carefulHost
}

func (c carefulClient) Batch(ctx context.Context, ops ...*storage.Operation) error {
	if !slices.ContainsFunc(ops, func(o *storage.Operation) bool { return o.Type != storage.Delete }) {
		c.host.mu.Lock()
		defer c.host.mu.Unlock()
		if !c.host.started {
			c.host.held = append(c.host.held, func(ctx context.Context) error { return c.Client.Batch(ctx, ops...) })
			return nil
		}
	}
	err := c.Client.Batch(ctx, ops...)
	if err == nil {
		return nil
	}
	reads := slices.DeleteFunc(slices.Clone(ops), func(o *storage.Operation) bool { return o.Type != storage.Get })
	if len(reads) == 0 || len(reads) == len(ops) {
		return err
	}
	return c.Client.Batch(ctx, reads...)
}
