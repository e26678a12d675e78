//go:build linux && amd64 && !noembedded

package embedded

import "sync"

// judgements is how many statements' judgements are remembered, and rememberBytes how long one may be.
const (
	judgements    = 1024
	rememberBytes = 64 << 10
)

// memory remembers judgements. When it is full it forgets all: programs repeat few statements, and people few often.
type memory struct {
	mu   sync.Mutex
	most int
	seen map[string]judgement
}

type judgement struct {
	analysis analysis
	err      error
}

func newMemory(most int) *memory { return &memory{most: most, seen: map[string]judgement{}} }

func (m *memory) get(text string) (analysis, error, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	j, ok := m.seen[text]
	return j.analysis, j.err, ok
}

func (m *memory) put(text string, a analysis, err error) {
	if len(text) > rememberBytes {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.seen) >= m.most {
		clear(m.seen)
	}
	m.seen[text] = judgement{a, err}
}
