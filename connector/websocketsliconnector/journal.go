package websocketsliconnector

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/extension/xextension/storage"
)

// journal keeps the state in a storage extension: a snapshot, and one entry for each chunk since. A chunk is in it
// before it is counted, so that what has been published never exceeds what is kept.
type journal struct {
	client storage.Client
	// next is the number of the next entry, first that of the first entry after the snapshot.
	first, next uint64
	at          time.Time
}

const (
	storageName  = "websocketsli"
	snapshotKey  = "snapshot"
	entryPrefix  = "entry/"
	snapshotForm = 1

	// A snapshot is written after so many entries, or so long after the last if there is any.
	snapshotEntries = 1000
	snapshotAge     = time.Minute
)

type snapshot struct {
	Form   int        `json:"form"`
	First  uint64     `json:"first"`
	Series []*series  `json:"series"`
	Late   []*series  `json:"late"`
	Rates  []*series  `json:"rates,omitempty"`
	Chunks []chunkKey `json:"-"`
	// Memory is Chunks, one after the other.
	Memory []byte `json:"chunks"`
}

// openJournal returns the journal of the configured extension, or nil without one.
func openJournal(ctx context.Context, host component.Host, id *component.ID, own component.ID) (*journal, error) {
	if id == nil {
		return nil, nil
	}
	ext, ok := host.GetExtensions()[*id]
	if !ok {
		return nil, fmt.Errorf("storage: no extension %q; add it to service::extensions", id)
	}
	st, ok := ext.(storage.Extension)
	if !ok {
		return nil, fmt.Errorf("storage: extension %q stores nothing; use a storage extension such as file_storage", id)
	}
	client, err := st.GetClient(ctx, component.KindConnector, own, storageName)
	if err != nil {
		return nil, fmt.Errorf("storage: %w", err)
	}
	return &journal{client: client}, nil
}

// load fills s, which is empty. damaged says that what was kept cannot be read: then counting begins anew, which
// Prometheus understands, and nothing of the past comes back later.
func (j *journal) load(ctx context.Context, s *state, now time.Time) (damaged, err error) {
	j.at = now
	raw, err := j.client.Get(ctx, snapshotKey)
	if err != nil {
		return nil, fmt.Errorf("storage: read the counts: %w", err)
	}
	var kept snapshot
	if raw != nil {
		if err := kept.read(raw); err != nil {
			return err, j.anew(ctx, s, now)
		}
	}
	entries := []entry{}
	for j.next = kept.First; ; j.next++ {
		raw, err := j.client.Get(ctx, entryKey(j.next))
		if err != nil {
			return nil, fmt.Errorf("storage: read the counts: %w", err)
		}
		if raw == nil {
			break
		}
		var e entry
		if err := json.Unmarshal(raw, &e); err != nil {
			return err, j.anew(ctx, s, now)
		}
		entries = append(entries, e)
	}
	j.first = kept.First
	for _, one := range kept.Series {
		s.counted.insert(one)
		s.know(&one.Key)
	}
	for _, one := range kept.Late {
		s.late.insert(one)
	}
	for _, one := range kept.Rates {
		s.rates.insert(one)
	}
	for _, k := range kept.Chunks {
		s.chunks.remember(k)
	}
	for i := range entries {
		s.apply(&entries[i])
	}
	return nil, nil
}

// anew numbers entries from where none has been.
func (j *journal) anew(ctx context.Context, s *state, now time.Time) error {
	j.first = uint64(now.UnixNano())
	j.next = j.first
	return j.save(ctx, s, now)
}

func entryKey(n uint64) string { return entryPrefix + strconv.FormatUint(n, 10) }

func (s *snapshot) read(raw []byte) error {
	if err := json.Unmarshal(raw, s); err != nil {
		return err
	}
	if s.Form != snapshotForm {
		return fmt.Errorf("form %d of the counts is not known", s.Form)
	}
	for _, one := range slices.Concat(s.Series, s.Late, s.Rates) {
		if one == nil || one.TimedSince != 0 && one.Durations == nil {
			return errors.New("a series is not complete")
		}
	}
	for rest := s.Memory; len(rest) >= len(chunkKey{}); rest = rest[len(chunkKey{}):] {
		s.Chunks = append(s.Chunks, chunkKey(rest[:len(chunkKey{})]))
	}
	return nil
}

func (j *journal) append(ctx context.Context, e *entry) error {
	raw, err := json.Marshal(e)
	if err != nil {
		return err
	}
	if err := j.client.Set(ctx, entryKey(j.next), raw); err != nil {
		return fmt.Errorf("storage: keep the counts of a chunk: %w", err)
	}
	j.next++
	return nil
}

// due reports whether it is time for a snapshot.
func (j *journal) due(now time.Time) bool {
	n := j.next - j.first
	return n >= snapshotEntries || n > 0 && now.Sub(j.at) >= snapshotAge
}

// save writes a snapshot and deletes the entries that it holds.
func (j *journal) save(ctx context.Context, s *state, now time.Time) error {
	kept := snapshot{Form: snapshotForm, First: j.next, Series: s.counted.all, Late: s.late.all, Rates: s.rates.all}
	for _, k := range s.chunks.oldestFirst() {
		kept.Memory = append(kept.Memory, k[:]...)
	}
	raw, err := json.Marshal(&kept)
	if err != nil {
		return err
	}
	ops := []*storage.Operation{storage.SetOperation(snapshotKey, raw)}
	for n := j.first; n < j.next; n++ {
		ops = append(ops, storage.DeleteOperation(entryKey(n)))
	}
	if err := j.client.Batch(ctx, ops...); err != nil {
		return fmt.Errorf("storage: keep the counts: %w", err)
	}
	j.first, j.at = j.next, now
	return nil
}

func (j *journal) close(ctx context.Context) error { return j.client.Close(ctx) }
