package content

import (
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sockeye-project/sockeye/endpoint"
	"github.com/sockeye-project/sockeye/event"
	"github.com/sockeye-project/sockeye/wire"
)

// Settings are what a [Guard] has to know. Directory is required.
type Settings struct {
	// Directory has the manifest and the schemas.
	Directory string
	// Custom, if not nil, is asked about messages that the policy accepts. Its error refuses the message as one of
	// [endpoint.Config.Validate] does; where the policy only observes, it is observed too.
	Custom func(*endpoint.Session, Message) error
	// Now is time.Now by default. It decides what is still deprecated and what is refused by now.
	Now func() time.Time
}

// Message is what [Settings.Custom] is asked about. Its payload is valid during the call.
type Message struct {
	wire.Message
	Verdict
}

// Guard holds messages against a policy that can be exchanged. Its methods may be called from any goroutine.
type Guard struct {
	settings Settings
	policy   atomic.Pointer[Policy]
	loading  sync.Mutex
	seen     string // the directory, as it was loaded last, be it with faults
	changes  atomic.Int64
	faults   atomic.Int64
	observed [len(reasons)]atomic.Int64
	enforced [len(reasons)]atomic.Int64
	old      atomic.Int64
}

// reasons are what refusals are counted by.
var reasons = [...]string{
	event.SchemaInvalid, event.UnknownType, event.ACLDenied, event.UnsupportedVersion, event.QuotaExceeded,
	event.OtherError,
}

// New loads the policy. The error is [Faults] where it is the policy's.
func New(s Settings) (*Guard, error) {
	if s.Now == nil {
		s.Now = time.Now
	}
	g := &Guard{settings: s}
	if err := g.load(); err != nil {
		return nil, err
	}
	return g, nil
}

// Reload loads the directory again. Messages see the old policy or the new, whole. A new one with a fault changes nothing,
// and the error says why.
func (g *Guard) Reload() error {
	if err := g.load(); err != nil {
		g.faults.Add(1)
		return err
	}
	g.changes.Add(1)
	return nil
}

func (g *Guard) load() error {
	g.loading.Lock()
	defer g.loading.Unlock()
	g.seen = look(g.settings.Directory) // before it is read: what is written meanwhile is a change
	p, err := Load(g.settings.Directory)
	if err != nil {
		return err
	}
	p.sources = nil
	g.policy.Store(p)
	return nil
}

// Policy is the one in force.
func (g *Guard) Policy() *Policy { return g.policy.Load() }

// Validate is for [endpoint.Config.Validate].
func (g *Guard) Validate(s *endpoint.Session, m wire.Message) error {
	return g.check(s, m, false)
}

// Outgoing holds a message that the server is about to send against the entries with direction transmit or both. The
// caller decides what its error means; what is only observed is counted and gives none.
func (g *Guard) Outgoing(s *endpoint.Session, m wire.Message) error {
	err := g.check(s, m, true)
	var r *endpoint.Rejection
	if errors.As(err, &r) && r.Observed {
		return nil
	}
	return err
}

func (g *Guard) check(s *endpoint.Session, m wire.Message, outgoing bool) error {
	p := g.policy.Load()
	from := Sender{Subprotocol: s.Subprotocol(), Identity: s.Identity(), Outgoing: outgoing}
	v := p.Check(&from, m, g.settings.Now())
	if !v.Deprecated.IsZero() {
		g.old.Add(1)
	}
	var no *endpoint.Rejection
	if v.Refused != "" {
		no = &endpoint.Rejection{Type: v.Refused, Schema: v.Schema}
		if p.closes {
			no.Close = wire.ClosePolicyViolation
		}
	} else if g.settings.Custom != nil {
		if err := g.settings.Custom(s, Message{m, v}); err != nil {
			no = custom(err, v.Schema)
		}
	}
	if no == nil {
		return nil
	}
	counts := &g.enforced
	if !p.Enforced(s.ID()) {
		no.Observed, no.Close = true, 0
		counts = &g.observed
	}
	counts[reasonIndex(no.Type)].Add(1)
	return no
}

// custom makes a rejection of any error.
func custom(err error, schema string) *endpoint.Rejection {
	no := endpoint.Rejection{Type: event.SchemaInvalid}
	var own *endpoint.Rejection
	if errors.As(err, &own) {
		no = *own
	}
	if no.Schema == "" {
		no.Schema = schema
	}
	return &no
}

func reasonIndex(errorType string) int {
	for i, r := range reasons {
		if r == errorType {
			return i
		}
	}
	return len(reasons) - 1
}

// Stats are counts since the start, by the error.type of refusals.
type Stats struct {
	// Refused were refused; Observed would have been if their policy were enforced on the connection.
	Refused, Observed map[string]int64
	// Deprecated messages had a version that will be refused.
	Deprecated int64
	// Reloads were taken; ReloadFaults had a fault and changed nothing.
	Reloads, ReloadFaults int64
}

// Stats returns the counts.
func (g *Guard) Stats() Stats {
	s := Stats{Refused: map[string]int64{}, Observed: map[string]int64{}, Deprecated: g.old.Load(),
		Reloads: g.changes.Load(), ReloadFaults: g.faults.Load()}
	for i, r := range reasons {
		if n := g.enforced[i].Load(); n > 0 {
			s.Refused[r] = n
		}
		if n := g.observed[i].Load(); n > 0 {
			s.Observed[r] = n
		}
	}
	return s
}
