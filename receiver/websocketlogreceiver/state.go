package websocketlogreceiver

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"syscall"
	"time"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/extension/xextension/storage"
)

// headBytes is how much of a file's beginning tells it from others.
const headBytes = 1024

// fingerprint is a hash of a file's first bytes. A file keeps it while it grows: Len says how many were hashed.
type fingerprint struct {
	Len int    `json:"len"`
	Sum string `json:"sum"`
}

// fingerprintOf hashes the first n bytes of f, or as many as there are.
func fingerprintOf(f io.ReaderAt, n int) (fingerprint, error) {
	var buf [headBytes]byte
	n, err := f.ReadAt(buf[:min(n, headBytes)], 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return fingerprint{}, err
	}
	return fingerprintOfBytes(buf[:n]), nil
}

func fingerprintOfBytes(head []byte) fingerprint {
	sum := sha256.Sum256(head)
	return fingerprint{Len: len(head), Sum: hex.EncodeToString(sum[:16])}
}

// fileID is what a file keeps when it is renamed.
type fileID struct {
	Dev uint64 `json:"dev"`
	Ino uint64 `json:"ino"`
}

func idOf(info os.FileInfo) (fileID, error) {
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return fileID{}, fmt.Errorf("%s: the file system gives no inode numbers", info.Name())
	}
	return fileID{Dev: uint64(st.Dev), Ino: st.Ino}, nil //nolint:unconvert // Dev is an int32 on darwin.
}

// fileState is what is kept of a file over a restart.
type fileState struct {
	Path string      `json:"path"`
	ID   fileID      `json:"id"`
	Head fingerprint `json:"head"`
	// Generation tells the contents apart that a file had before and after it was truncated.
	Generation int `json:"generation"`
	// Offset is the end of what has been acknowledged; Lines is how many lines are before it, -1 if that is unknown.
	Offset int64 `json:"offset"`
	Lines  int64 `json:"lines"`
	// Format is what format: auto took the file for, so that a chunk is never read again as another.
	Format string `json:"format,omitempty"`
	// Pending are the chunks behind Offset that may have been sent, in order. The first has not been acknowledged. The
	// slice is never changed, only replaced: copies of a state share it.
	Pending []bounds `json:"pending,omitempty"`
}

// end is the end of what has been cut into chunks.
func (s *fileState) end() int64 {
	if n := len(s.Pending); n > 0 {
		return s.Pending[n-1].End
	}
	return s.Offset
}

// acknowledge notes that a pending chunk is stored, and with it all that had been written by then. It moves the offset
// over the chunks at the front that are stored, and returns the latest time that goes with them.
func (s *fileState) acknowledge(id string, then time.Time) (through time.Time) {
	pending := slices.Clone(s.Pending)
	if i := slices.IndexFunc(pending, func(b bounds) bool { return b.ID == id }); i >= 0 {
		pending[i].Done, pending[i].through = true, then
	}
	for len(pending) > 0 && pending[0].Done {
		first := pending[0]
		s.Offset = first.End
		if s.Lines >= 0 {
			s.Lines += first.Lines
		}
		if first.through.After(through) {
			through = first.through
		}
		pending = pending[1:]
	}
	s.Pending = pending
	return through
}

// checkpoint keeps file states in a storage extension, or nowhere.
type checkpoint struct {
	client storage.Client
}

const (
	storageName = "websocketlog"
	indexKey    = "files"
	filePrefix  = "file/"
	secretKey   = "installation_key"
)

// openCheckpoint returns the checkpoint of the configured extension.
func openCheckpoint(ctx context.Context, host component.Host, id *component.ID, own component.ID) (checkpoint, error) {
	if id == nil {
		return checkpoint{}, nil
	}
	ext, ok := host.GetExtensions()[*id]
	if !ok {
		return checkpoint{}, fmt.Errorf("storage: no extension %q; add it to service::extensions", id)
	}
	st, ok := ext.(storage.Extension)
	if !ok {
		return checkpoint{}, fmt.Errorf("storage: extension %q stores nothing; use a storage extension such as "+
			"file_storage", id)
	}
	client, err := st.GetClient(ctx, component.KindReceiver, own, storageName)
	if err != nil {
		return checkpoint{}, fmt.Errorf("storage: %w", err)
	}
	return checkpoint{client}, nil
}

func (c checkpoint) close(ctx context.Context) error {
	if c.client == nil {
		return nil
	}
	return c.client.Close(ctx)
}

// load returns the stored states by their keys; known is false if nothing has ever been stored.
func (c checkpoint) load(ctx context.Context) (states map[string]fileState, known bool, err error) {
	if c.client == nil {
		return nil, false, nil
	}
	raw, err := c.client.Get(ctx, indexKey)
	if err != nil || raw == nil {
		return nil, false, err
	}
	var keys []string
	if err := json.Unmarshal(raw, &keys); err != nil {
		return nil, false, fmt.Errorf("storage: list of files: %w", err)
	}
	states = make(map[string]fileState, len(keys))
	for _, key := range keys {
		raw, err := c.client.Get(ctx, filePrefix+key)
		if err != nil {
			return nil, false, err
		}
		if raw == nil {
			continue
		}
		var s fileState
		if err := json.Unmarshal(raw, &s); err != nil {
			return nil, false, fmt.Errorf("storage: file %q: %w", key, err)
		}
		states[key] = s
	}
	return states, true, nil
}

func (c checkpoint) saveIndex(ctx context.Context, keys []string, gone ...string) error {
	if c.client == nil {
		return nil
	}
	raw, err := json.Marshal(keys)
	if err != nil {
		return err
	}
	ops := []*storage.Operation{storage.SetOperation(indexKey, raw)}
	for _, key := range gone {
		ops = append(ops, storage.DeleteOperation(filePrefix+key))
	}
	return c.client.Batch(ctx, ops...)
}

func (c checkpoint) save(ctx context.Context, key string, s fileState) error {
	if c.client == nil {
		return nil
	}
	raw, err := json.Marshal(s)
	if err != nil {
		return err
	}
	return c.client.Set(ctx, filePrefix+key, raw)
}

// secret returns a key that is kept in the storage, and makes it the first time.
func (c checkpoint) secret(ctx context.Context, size int) ([]byte, error) {
	key := make([]byte, size)
	_, _ = rand.Read(key) // never fails: crypto/rand
	if c.client == nil {
		return key, nil
	}
	stored, err := c.client.Get(ctx, secretKey)
	if err != nil {
		return nil, fmt.Errorf("storage: %w", err)
	}
	if len(stored) == size {
		return stored, nil
	}
	if err := c.client.Set(ctx, secretKey, key); err != nil {
		return nil, fmt.Errorf("storage: %w", err)
	}
	return key, nil
}

// newFileKey names a file in the storage; a path would not do, since files are renamed.
func newFileKey() string { return rand.Text()[:16] }
