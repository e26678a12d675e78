package auth

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/sockeye-project/sockeye/endpoint/internal/expiry"
)

const (
	defaultRevocations = 100_000
	defaultRevokedFor  = 24 * time.Hour
)

// Revocation takes back what was granted: to every identity that has all of the names it gives.
type Revocation struct {
	TokenID string `json:"token_id,omitempty"`
	Subject string `json:"subject,omitempty"`
	Tenant  string `json:"tenant,omitempty"`
	Session string `json:"session,omitempty"`
	// Before, if set, spares credentials that were issued at this time or later: the user has signed in again.
	Before time.Time `json:"before,omitzero"`
	// Until is when the revocation may be forgotten, since all that it is about has expired. Default: a day from now.
	Until time.Time `json:"until,omitzero"`
}

// target is what a revocation is found by. Comparable.
type target struct{ tokenID, subject, tenant, session string }

// shape has a bit for each name that t has.
func (t target) shape() (bits int) {
	for i, name := range [...]string{t.tokenID, t.subject, t.tenant, t.session} {
		if name != "" {
			bits |= 1 << i
		}
	}
	return bits
}

// only returns the names of t whose bits are set.
func (t target) only(bits int) target {
	if bits&1 == 0 {
		t.tokenID = ""
	}
	if bits&2 == 0 {
		t.subject = ""
	}
	if bits&4 == 0 {
		t.tenant = ""
	}
	if bits&8 == 0 {
		t.session = ""
	}
	return t
}

func (r Revocation) target() target { return target{r.TokenID, r.Subject, r.Tenant, r.Session} }

// Matches reports whether the revocation is about id.
func (r Revocation) Matches(id Identity) bool {
	if r.target() == (target{}) {
		return false
	}
	same := func(asked, has string) bool { return asked == "" || asked == has }
	return same(r.TokenID, id.TokenID) && same(r.Subject, id.Subject) && same(r.Tenant, id.Tenant) &&
		same(r.Session, id.Session) && r.appliesTo(id)
}

// appliesTo looks at Before alone. A credential that does not say when it was issued may be an old one.
func (r Revocation) appliesTo(id Identity) bool {
	return r.Before.IsZero() || id.IssuedAt.Before(r.Before)
}

// ErrTooManyRevocations is the error of a list that is full. What is on it stays there.
var ErrTooManyRevocations = errors.New("revocations: the list is full; " +
	"revoke a tenant instead of its subjects, or raise the capacity")

// Revocations is a list of what was revoked, in about 200 bytes each. [Revocations.Guard] refuses newcomers;
// [Revocations.Watch] tells who keeps sessions that one of them may have to end.
type Revocations struct {
	now  func() time.Time
	list *expiry.List[target, Revocation]
}

// NewRevocations returns an empty list for at most capacity revocations, 100,000 if 0. now is the clock, time.Now if nil.
func NewRevocations(capacity int, now func() time.Time) *Revocations {
	if capacity <= 0 {
		capacity = defaultRevocations
	}
	if now == nil {
		now = time.Now
	}
	return &Revocations{now: now, list: expiry.New(expiry.Settings[target, Revocation]{
		Capacity: capacity, Now: now, Until: func(r Revocation) time.Time { return r.Until },
		Shape: target.shape, Shapes: 16,
	})}
}

// Add revokes, and returns when every watcher has been told. A second revocation with the same names makes the first
// reach further, never less far.
func (l *Revocations) Add(r Revocation) error { return l.put(r, Revocation.further) }

// further is the reach of both.
func (r Revocation) further(added Revocation) Revocation {
	if r.Until.After(added.Until) {
		added.Until = r.Until
	}
	if !added.Before.IsZero() && (r.Before.IsZero() || r.Before.After(added.Before)) {
		added.Before = r.Before
	}
	return added
}

func (l *Revocations) put(r Revocation, merge func(old, r Revocation) Revocation) error {
	now := l.now()
	switch {
	case r.target() == (target{}):
		return errors.New("revocation: must name a token_id, subject, tenant or session")
	case r.Until.IsZero():
		r.Until = now.Add(defaultRevokedFor)
	case !r.Until.After(now):
		return nil
	}
	if l.list.Put(r.target(), r, merge) != nil {
		return ErrTooManyRevocations
	}
	return nil
}

// Lift takes back a revocation with the same names. It reports whether there was one. Sessions that ended stay ended.
func (l *Revocations) Lift(r Revocation) bool { return l.list.Drop(r.target()) }

// Len returns how many revocations are kept, some of which may have ended.
func (l *Revocations) Len() int { return l.list.Len() }

// Revoked reports whether id is revoked.
func (l *Revocations) Revoked(id Identity) bool {
	all := target{id.TokenID, id.Subject, id.Tenant, id.Session}
	_, ok := l.list.Find(all.only, func(r Revocation) bool { return r.appliesTo(id) })
	return ok
}

// Watch calls tell with every revocation that is added from now on, until stop is called. tell must be quick, since Add waits
// for it, and must not call the list. Whoever keeps sessions first adds a session to its table, then asks Revoked, and
// only then serves it: so none slips between the check at its start and a revocation at the same time.
func (l *Revocations) Watch(tell func(Revocation)) (stop func()) { return l.list.Watch(tell) }

// Guard returns an Authenticator that refuses what a accepts but is revoked.
func (l *Revocations) Guard(a Authenticator) Authenticator {
	return AuthenticatorFunc(func(ctx context.Context, c Credential) (Identity, error) {
		id, err := a.Authenticate(ctx, c)
		if err != nil {
			return Identity{}, FailureOf(err)
		}
		if l.Revoked(id) {
			return Identity{}, Revoked
		}
		return id, nil
	})
}

// Follow keeps the list in step with a file until ctx ends: what is added to the file is revoked for as long as it is there or
// until its Until, and what is taken out of it is lifted; in the end all of it. The file has one [Revocation] a line, as JSON; to change it,
// write it anew and rename it. It is looked at every interval; a file that is missing or cannot be understood changes
// nothing and is told to fault, once for each reason, by its line, never by what is in it.
func (l *Revocations) Follow(ctx context.Context, path string, interval time.Duration, fault func(error)) {
	f := follower{list: l, was: map[target]Revocation{}}
	follow(ctx, path, interval, f.take, fault)
	for _, r := range f.was {
		l.Lift(r)
	}
}

// never is when a revocation of a file ends that says nothing of it: with its line.
var never = time.Date(9999, 12, 31, 0, 0, 0, 0, time.UTC)

// follower knows what the file said.
type follower struct {
	list *Revocations
	was  map[target]Revocation
}

func (f *follower) take(text []byte) error {
	list, err := ParseRevocations(bytes.NewReader(text))
	if err != nil {
		return err
	}
	is := make(map[target]Revocation, len(list))
	for _, r := range list {
		if r.Until.IsZero() {
			r.Until = never
		}
		is[r.target()] = r
	}
	for key, r := range f.was {
		if _, still := is[key]; !still {
			f.list.Lift(r)
			delete(f.was, key)
		}
	}
	for key, r := range is {
		if f.was[key] == r {
			continue
		}
		if err := f.list.put(r, nil); err != nil {
			return err
		}
		f.was[key] = r
	}
	return nil
}

// ParseRevocations reads one revocation a line, as JSON. Empty lines are skipped.
func ParseRevocations(r io.Reader) ([]Revocation, error) {
	var list []Revocation
	lines := bufio.NewScanner(r)
	for n := 1; lines.Scan(); n++ {
		line := bytes.TrimSpace(lines.Bytes())
		if len(line) == 0 {
			continue
		}
		var r Revocation
		dec := json.NewDecoder(bytes.NewReader(line))
		dec.DisallowUnknownFields()
		if dec.Decode(&r) != nil || dec.More() || r.target() == (target{}) {
			return nil, fmt.Errorf("revocations:%d: must be a JSON object with token_id, subject, tenant or session, "+
				"and at will before and until in RFC 3339", n)
		}
		list = append(list, r)
	}
	if lines.Err() != nil {
		return nil, errors.New("revocations: a line must be at most 64 KiB")
	}
	return list, nil
}
