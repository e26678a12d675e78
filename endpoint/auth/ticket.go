package auth

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/sockeye-project/sockeye/wire"
)

const (
	ticketKey       = 32
	ticketNonce     = 12
	ticketVersion   = "sockeye ticket 1"
	maxLifetime     = 5 * time.Minute
	defaultLifetime = 30 * time.Second
	defaultCapacity = 100_000
)

// TicketsConfig says what tickets are like. Its zero value is a good one for a single process.
type TicketsConfig struct {
	// Lifetime is how long a ticket can be used. Default 30 seconds, at most 5 minutes.
	Lifetime time.Duration
	// Capacity is how many used tickets are remembered, each for up to twice Lifetime, in about 80 bytes. While there are
	// more, no ticket is accepted. Default 100,000.
	Capacity int
	// BindClient accepts a ticket from the address alone that it was issued to. Clients that change networks, or leave by
	// several addresses, then fail.
	BindClient bool
	// Key, of 32 bytes, lets several processes accept each other's tickets, and Spender lets them know which are used: one
	// is not allowed without the other. By default a ticket is of use only in the process that issued it.
	Key     []byte
	Spender Spender
	// Now is the clock, time.Now if nil.
	Now func() time.Time
}

// Spender remembers which tickets were used.
type Spender interface {
	// Spend reports whether it is the first call with this id. It may forget the id after the time until. What cannot be
	// remembered is an error; the ticket is refused then.
	Spend(ctx context.Context, id string, until time.Time) (first bool, err error)
}

// Tickets issues single-use tickets, and accepts each once: what a browser's page, which cannot set a header for a
// WebSocket, gets over HTTPS with its session and shows in the handshake's URL (ASVS 5.0 V4.4.3, V4.4.4). A ticket is
// sealed: it says nothing to whoever finds it in a log, and is worthless there. It is bound to the identity, to the Origin
// of the page that asked, and by choice to the client's address.
type Tickets struct {
	config TicketsConfig
	seal   cipher.AEAD
}

// NewTickets returns an issuer of tickets. The error names all faults of the configuration.
func NewTickets(c TicketsConfig) (*Tickets, error) {
	var faults []error
	if c.Lifetime < 0 || c.Lifetime > maxLifetime {
		faults = append(faults, fmt.Errorf("lifetime: must be at most %s, got %s", maxLifetime, c.Lifetime))
	}
	if c.Capacity < 0 {
		faults = append(faults, fmt.Errorf("capacity: must not be negative, got %d", c.Capacity))
	}
	if c.Key != nil && len(c.Key) != ticketKey {
		faults = append(faults, fmt.Errorf("key: must have %d bytes, got %d", ticketKey, len(c.Key)))
	}
	if (c.Key == nil) != (c.Spender == nil) {
		faults = append(faults, errors.New("key, spender: must be there both or neither: "+
			"a ticket that several processes accept must be spent in all of them"))
	}
	if len(faults) > 0 {
		return nil, errors.Join(faults...)
	}
	if c.Lifetime == 0 {
		c.Lifetime = defaultLifetime
	}
	if c.Capacity == 0 {
		c.Capacity = defaultCapacity
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	key := slices.Clone(c.Key)
	if key == nil {
		key = make([]byte, ticketKey)
		_, _ = rand.Read(key) // never fails
		c.Spender = newSpent(c.Capacity, c.Lifetime, c.Now)
	}
	c.Key = nil
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	seal, err := cipher.NewGCM(block)
	return &Tickets{c, seal}, err
}

// ticket is what is sealed in one.
type ticket struct {
	Identity Identity
	Origin   string     `json:",omitempty"`
	Client   netip.Addr `json:",omitzero"`
	Expiry   time.Time
}

// Issue returns a ticket for id. Origin and client are those of the request that asked for it, as in a [Credential].
func (t *Tickets) Issue(id Identity, origin string, client netip.Addr) (string, error) {
	now := t.config.Now()
	if id.Subject == "" {
		return "", MissingSubject
	}
	if id.Expired(now) {
		return "", TokenExpired
	}
	if !t.config.BindClient {
		client = netip.Addr{}
	} else if !client.IsValid() {
		return "", TicketMisplaced
	}
	text, err := json.Marshal(ticket{id, origin, client.Unmap(), now.Add(t.config.Lifetime)})
	if err != nil {
		return "", Internal
	}
	nonce := make([]byte, ticketNonce, ticketNonce+len(text)+t.seal.Overhead())
	_, _ = rand.Read(nonce) // never fails
	sealed := t.seal.Seal(nonce, nonce, text, []byte(ticketVersion))
	if base64.RawURLEncoding.EncodedLen(len(sealed)) > defaultMaxToken {
		return "", CredentialTooLong
	}
	return base64.RawURLEncoding.EncodeToString(sealed), nil
}

// Authenticate implements [Authenticator]: it accepts each ticket once.
func (t *Tickets) Authenticate(ctx context.Context, c Credential) (Identity, error) {
	if c.Method != Ticket {
		return Identity{}, MissingCredential
	}
	if len(c.Token) > defaultMaxToken {
		return Identity{}, CredentialTooLong
	}
	sealed, ok := segment(c.Token)
	if !ok || len(sealed) < ticketNonce {
		return Identity{}, InvalidTicket
	}
	nonce := sealed[:ticketNonce]
	text, err := t.seal.Open(nil, nonce, sealed[ticketNonce:], []byte(ticketVersion))
	if err != nil {
		return Identity{}, InvalidTicket
	}
	var got ticket
	if json.Unmarshal(text, &got) != nil {
		return Identity{}, InvalidTicket
	}
	now := t.config.Now()
	switch {
	case !now.Before(got.Expiry):
		return Identity{}, TicketExpired
	case got.Identity.Expired(now):
		return Identity{}, TokenExpired
	case got.Origin != c.Origin, t.config.BindClient && got.Client != c.Client.Unmap():
		return Identity{}, TicketMisplaced
	}
	// Last, so that whoever may not use a ticket cannot use it up either.
	first, err := t.config.Spender.Spend(ctx, base64.RawURLEncoding.EncodeToString(nonce), got.Expiry)
	if err != nil {
		return Identity{}, FailureOf(err)
	}
	if !first {
		return Identity{}, TicketSpent
	}
	got.Identity.Method = Ticket
	return got.Identity, nil
}

// spent is the Spender of one process. It has two generations: ids go into the newer, and the older is forgotten as a whole
// once everything in it has expired.
type spent struct {
	mu         sync.Mutex
	newer, old map[string]struct{}
	since      time.Time // when newer began
	lifetime   time.Duration
	capacity   int
	now        func() time.Time
}

func newSpent(capacity int, lifetime time.Duration, now func() time.Time) *spent {
	return &spent{newer: map[string]struct{}{}, since: now(), lifetime: lifetime, capacity: capacity, now: now}
}

func (s *spent) Spend(_ context.Context, id string, _ time.Time) (bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.now()
	switch age := now.Sub(s.since); {
	case age >= 2*s.lifetime:
		s.old, s.newer, s.since = nil, map[string]struct{}{}, now
	case age >= s.lifetime:
		s.old, s.newer, s.since = s.newer, map[string]struct{}{}, now
	}
	if _, used := s.newer[id]; used {
		return false, nil
	}
	if _, used := s.old[id]; used {
		return false, nil
	}
	if len(s.newer)+len(s.old) >= s.capacity {
		return false, TicketsFull
	}
	s.newer[id] = struct{}{}
	return true, nil
}

// TicketHandler answers a POST that is authenticated with a ticket:
//
//	{"ticket":"…","expires_in":30}
//
// It answers preflights of pages that Origins allow, so that the page may be of another origin than the endpoint. It has no
// limits of its own: Endpoint.Limited gives it those of handshakes.
type TicketHandler struct {
	// Tickets issues them.
	Tickets *Tickets
	// Authenticator verifies the request's credential, which Sources finds. Sources default to the Authorization header.
	// Tickets and tokens in the URL are not looked for: a ticket cannot be had for a ticket.
	Authenticator Authenticator
	Sources       Sources
	// Origins are the pages that may ask.
	Origins wire.Origins
	// Client returns the client's address, for tickets that are bound to it. Default: the connection's.
	Client func(*http.Request) netip.Addr
	// InsecureHTTP answers requests without TLS, which a proxy in front may have ended.
	InsecureHTTP bool
	// Done, if not nil, is told of every answer to a POST.
	Done func(r *http.Request, id Identity, err error)
}

// ServeHTTP implements [http.Handler].
func (h *TicketHandler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Add("Vary", "Origin")
	origin, err := h.origin(r)
	if err == nil && origin != "" {
		w.Header().Set("Access-Control-Allow-Origin", origin)
		w.Header().Set("Access-Control-Allow-Credentials", "true")
	}
	switch r.Method {
	case http.MethodOptions:
		if err != nil || origin == "" {
			w.WriteHeader(http.StatusForbidden)
			return
		}
		w.Header().Set("Access-Control-Allow-Methods", http.MethodPost)
		w.Header().Set("Access-Control-Allow-Headers", "Authorization")
		w.WriteHeader(http.StatusNoContent)
	case http.MethodPost:
		var id Identity
		var text string
		if err == nil {
			id, text, err = h.issue(r, origin)
		}
		if h.Done != nil {
			h.Done(r, id, err)
		}
		h.answer(w, text, err)
	default:
		w.Header().Set("Allow", "POST, OPTIONS")
		w.WriteHeader(http.StatusMethodNotAllowed)
	}
}

// origin returns the request's Origin if it is allowed, or a Failure.
func (h *TicketHandler) origin(r *http.Request) (string, error) {
	lines := r.Header["Origin"]
	if len(lines) > 1 {
		return "", NotAllowed
	}
	var origin string
	if len(lines) == 1 {
		origin = lines[0]
	}
	if h.Origins.Check(wire.Offer{Origin: origin, Host: r.Host, Secure: r.TLS != nil}) != nil {
		return "", NotAllowed
	}
	return origin, nil
}

func (h *TicketHandler) issue(r *http.Request, origin string) (Identity, string, error) {
	if r.TLS == nil && !h.InsecureHTTP {
		return Identity{}, "", NotAllowed
	}
	sources := h.Sources
	sources.Ticket, sources.InsecureQuery, sources.Subprotocol = "", "", false
	if sources == (Sources{}) {
		sources.Header = true
	}
	c, err := sources.FromRequest(r, origin)
	if err != nil {
		return Identity{}, "", err
	}
	c.Client = h.client(r)
	id, err := h.Authenticator.Authenticate(r.Context(), c)
	if err != nil {
		return Identity{}, "", FailureOf(err)
	}
	text, err := h.Tickets.Issue(id, origin, c.Client)
	return id, text, err
}

func (h *TicketHandler) client(r *http.Request) netip.Addr {
	if h.Client != nil {
		return h.Client(r)
	}
	from, _ := netip.ParseAddrPort(r.RemoteAddr)
	return from.Addr()
}

func (h *TicketHandler) answer(w http.ResponseWriter, text string, err error) {
	w.Header().Set("Content-Type", "application/json")
	var body any = map[string]any{"ticket": text, "expires_in": int(h.Tickets.config.Lifetime / time.Second)}
	if err != nil {
		f := FailureOf(err)
		f.SetHeader(w.Header())
		w.WriteHeader(f.Status())
		body = map[string]string{"error": f.Rule()}
	}
	_ = json.NewEncoder(w).Encode(body) // the client has left
}
