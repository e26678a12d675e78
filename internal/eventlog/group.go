package eventlog

import "go.opentelemetry.io/collector/pdata/plog"

// Group is all that arrived under one chunk id, in order; records without one form a group of their own.
type Group struct {
	Chunk   Chunk
	Parts   []Part
	Records int
	// torn is true where scopes of one chunk disagree on how many records it has.
	torn bool
}

// Part is the records of one scope.
type Part struct {
	Resource plog.ResourceLogs
	Scope    plog.ScopeLogs
}

// Exact reports whether the group is the chunk that its source cut, so that the chunk's id may name it.
func (g *Group) Exact() bool {
	return g.Chunk.ID != "" && !g.torn && g.Records == g.Chunk.Records
}

// Groups sorts the scopes of ld by their chunks, in order of first appearance.
func Groups(ld plog.Logs) []*Group {
	var groups []*Group
	byID := map[string]*Group{}
	for _, rl := range ld.ResourceLogs().All() {
		for _, sl := range rl.ScopeLogs().All() {
			chunk := ChunkOf(sl.Scope())
			g := byID[chunk.ID]
			if g == nil {
				g = &Group{Chunk: chunk}
				byID[chunk.ID] = g
				groups = append(groups, g)
			}
			g.torn = g.torn || g.Chunk.Records != chunk.Records
			g.Chunk.Repeated = g.Chunk.Repeated || chunk.Repeated
			g.Parts = append(g.Parts, Part{rl, sl})
			g.Records += sl.LogRecords().Len()
		}
	}
	return groups
}
