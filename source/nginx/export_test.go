package nginx

import "time"

// SetClock makes now the clock of an error log.
func (g *ErrorLog) SetClock(now func() time.Time) { g.now = now }

// Len returns how many causes are remembered.
func (g *ErrorLog) Len() int { return len(g.causes) }
