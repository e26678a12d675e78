package endpoint

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"time"

	"github.com/sockeye-project/sockeye/endpoint/auth"
	"github.com/sockeye-project/sockeye/event"
	"github.com/sockeye-project/sockeye/wire"
)

// Config is what an [Endpoint] has to know. Handle is required, and an Authenticator unless InsecureAnonymous is set. The
// zero value of everything else is safe.
type Config struct {
	// Handle serves a connection and returns when it is done, which closes the connection: with 1000 after nil, with the
	// code of a *[CloseError], else with 1011. ctx ends with the connection; its cause says why. A connection is only
	// read while Handle ranges over [Session.Messages], whose loop also ends at a shutdown; push from other goroutines.
	Handle func(ctx context.Context, s *Session) error

	// Authenticator verifies what clients claim.
	Authenticator auth.Authenticator
	// Revocations, if not nil, refuses newcomers that are on the list, and ends their connections when they come on it.
	Revocations *auth.Revocations
	// Blocks, if not nil, keeps out who is on the list, by address before anything else is looked at, by user and tenant once
	// they are known: with 403, and 1008 for connections that are open. It needs a HashKey.
	Blocks *Blocks
	// InsecureAnonymous lets everybody in where there is no Authenticator.
	InsecureAnonymous bool
	// Credentials says where a handshake may have its credential. Nil means [auth.DefaultSources].
	Credentials *auth.Sources
	// FirstMessage lets a handshake without a credential pass. The first message must then have one, see Token.
	FirstMessage bool
	// InBandRefresh takes messages with a credential, see Token, for [Session.Refresh]. Handle does not see them.
	InBandRefresh bool
	// Token takes the credential out of a message. Nil means [TokenOf].
	Token func(wire.Message) (token string, ok bool)

	// Origins are the web pages that may connect. The zero value allows those of the same origin, and no client without
	// an Origin: set AllowMissing for clients that are no browsers.
	Origins wire.Origins
	// Subprotocols are those the server speaks, the most wanted first.
	Subprotocols []string
	// Deflate is what the server wants of permessage-deflate; nil is none.
	Deflate *wire.Deflate

	// Limits bound what clients may do.
	Limits Limits
	// Timeouts bound how long things may take.
	Timeouts Timeouts
	// Queue bounds what waits for a slow client.
	Queue Queue

	// Validate, if not nil, sees every message before Handle. Its error refuses the message: see [Rejection].
	Validate func(*Session, wire.Message) error

	// Observer, if not nil, is told of every decision.
	Observer Observer
	// Resource describes this service on events.
	Resource *event.Resource
	// Vantage is [event.VantageApp] by default; [event.VantageEdge] for an endpoint in front of a service.
	Vantage string
	// HashKey is the key of websocket.handshake.key_hash and user.hash, which are absent without. 16 bytes or more.
	HashKey []byte

	// ClientAddress says where a request comes from, behind proxies that are trusted. Nil means the peer of the
	// connection.
	ClientAddress func(*http.Request) netip.Addr
	// Logger gets starts, stops and faults of the program. Nil is silence.
	Logger *slog.Logger
}

// Rate is a token bucket: Burst at once, PerSecond in the long run. The zero value means the default; a negative PerSecond
// is no limit.
type Rate struct {
	PerSecond float64
	// Burst is one second's worth where it is 0.
	Burst float64
}

// NoRate is no limit.
var NoRate = Rate{PerSecond: -1}

// Quota is what one address, user, tenant or connection may have. A negative number of connections is no limit.
type Quota struct {
	// Handshakes are counted before anything of the request is looked at, or, for users and tenants, after the client was
	// authenticated.
	Handshakes  Rate
	Connections int
	// Messages and Bytes are what clients send: payload, as it comes, counted at the frame's header.
	Messages, Bytes Rate
}

// Excess is what happens to a message over its rate.
type Excess uint8

// What happens.
const (
	CloseOnExcess Excess = iota // the connection is closed with 1008
	DropOnExcess                // the message is thrown away, and the client is not told
)

// Limits bound what clients may do. A zero field means its default.
type Limits struct {
	// Frames are the budgets of frames and messages, see [wire.Limits].
	Frames wire.Limits
	// Connections is how many the endpoint holds. Default 16,384. More are answered with 503.
	Connections int
	// Handshakes is how many may be in progress. Default 1,024. More are answered with 503.
	Handshakes int
	// Address is for a client's address: all of an IPv4 address, the first 64 bits of IPv6. Messages and Bytes have no
	// meaning here. Default 20 handshakes a second, 100 at once, 256 connections.
	Address Quota
	// User and Tenant are for one [auth.Identity.Subject] and Tenant. Default for a user 32 connections, 5 handshakes a
	// second and 50 at once; nothing else.
	User, Tenant Quota
	// Connection is for a single one; only Messages and Bytes have a meaning. Default 100 messages a second, 200 at once;
	// 1 MiB a second, 4 MiB at once.
	Connection Quota
	// Tiers replace User, Tenant and Connection for identities of a tier. Zero fields mean the fields above.
	Tiers map[string]Tier
	// Excess is what happens to a message over its rate.
	Excess Excess
	// Addresses, Users and Tenants are how many are remembered. Default 65,536, 65,536 and 4,096, which take 8, 10 and 1 MiB
	// when they are full. A tally is forgotten only when that changes nothing; who finds the table full shares one tally with
	// all others who do.
	Addresses, Users, Tenants int
}

// Tier is what identities of a tier may have.
type Tier struct{ User, Tenant, Connection Quota }

// Timeouts bound how long things may take. A zero field means its default; a negative one lifts the limit where that is said.
// They are kept to a second, or to a quarter of the shortest if that is less.
type Timeouts struct {
	// Auth is how long a credential may take to verify, and how long a first message may take to come. Default 5 s.
	Auth time.Duration
	// Write is how long a write may stand still. Default 10 s.
	Write time.Duration
	// Close is how long the closing handshake may take. Default 2 s.
	Close time.Duration
	// Ping is how long a connection may be silent before it gets a Ping. Default 30 s; negative is never.
	Ping time.Duration
	// Pong is how long the answer may take, before the connection counts as lost. Default 10 s.
	Pong time.Duration
	// Idle is how long neither side may send a message. Default 1 h; negative is for ever.
	Idle time.Duration
	// Lifetime is how long a connection may last. Default 24 h; negative is for ever.
	Lifetime time.Duration
	// Report is how often messages and connections are told to the Observer. Default 10 s.
	Report time.Duration
	// Observe is how long a security decision waits for the Observer, before its event is lost. Default 1 s.
	Observe time.Duration
}

// SlowPolicy is what happens to messages for a client whose queue is full.
type SlowPolicy uint8

// What happens.
const (
	Block      SlowPolicy = iota // [Session.Post] waits, at most for Timeouts.Write
	DropOldest                   // what waits longest is thrown away
	CloseSlow                    // the connection is closed with 1008
)

// Queue bounds what waits for a slow client. A zero field means its default.
type Queue struct {
	// Bytes of frames that may wait. Default 256 KiB. A message that is longer may wait alone.
	Bytes int
	// Messages that may wait. Default 1,024.
	Messages int
	// Slow is what happens beyond that.
	Slow SlowPolicy
}

// CloseError is a Close frame: what Handle returns to choose one, and what [Session.Messages] and Send report.
type CloseError struct {
	Code wire.CloseCode
	// Reason is sent to the client; at most 123 bytes.
	Reason string
}

func (c *CloseError) Error() string {
	if c.Reason == "" {
		return fmt.Sprintf("websocket closed with %d", c.Code)
	}
	return fmt.Sprintf("websocket closed with %d: %s", c.Code, c.Reason)
}

// Rejection is an error of [Config.Validate]. Another error counts as schema_invalid.
type Rejection struct {
	// Type is an error.type of the event websocket.message.rejected, such as [event.SchemaInvalid] or [event.ACLDenied].
	Type string
	// Schema is the message's schema, "" if not known.
	Schema string
	// Close ends the connection with this code; with 0 the message is thrown away and the connection goes on.
	Close wire.CloseCode
	// Observed lets the message through, and tells only that it would have been refused.
	Observed bool
}

func (r *Rejection) Error() string { return "message refused: " + r.Type }

// withDefaults returns c with nothing left to decide, or all its faults.
func (c Config) withDefaults() (Config, error) {
	var faults []error
	fault := func(text string) { faults = append(faults, errors.New(text)) }
	if c.Handle == nil {
		fault("Handle: must be set")
	}
	if c.Authenticator == nil && !c.InsecureAnonymous {
		fault("Authenticator: must be set, or InsecureAnonymous")
	}
	if c.Authenticator == nil && (c.FirstMessage || c.InBandRefresh) {
		fault("FirstMessage, InBandRefresh: need an Authenticator")
	}
	if c.Revocations != nil && c.Authenticator != nil {
		c.Authenticator = c.Revocations.Guard(c.Authenticator)
	}
	if c.HashKey != nil && len(c.HashKey) < 16 {
		fault("HashKey: must have at least 16 bytes")
	}
	if c.Blocks != nil && c.HashKey == nil {
		fault("Blocks: needs HashKey, by which users are named")
	}
	switch c.Vantage {
	case "":
		c.Vantage = event.VantageApp
	case event.VantageApp, event.VantageEdge, event.VantageGateway:
	default:
		fault("Vantage: must be app, edge or gateway")
	}
	if c.Credentials == nil {
		sources := auth.DefaultSources()
		c.Credentials = &sources
	}
	if c.Token == nil {
		c.Token = TokenOf
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	l := &c.Limits
	setDefault(&l.Connections, 16384)
	setDefault(&l.Handshakes, 1024)
	setDefault(&l.Addresses, 65536)
	setDefault(&l.Users, 65536)
	setDefault(&l.Tenants, 4096)
	l.Address = l.Address.or(Quota{Handshakes: Rate{20, 100}, Connections: 256})
	l.User = l.User.or(Quota{Handshakes: Rate{5, 50}, Connections: 32, Messages: NoRate, Bytes: NoRate})
	l.Tenant = l.Tenant.or(Quota{Handshakes: NoRate, Connections: -1, Messages: NoRate, Bytes: NoRate})
	l.Connection = l.Connection.or(Quota{Messages: Rate{100, 200}, Bytes: Rate{1 << 20, 4 << 20}})
	t := &c.Timeouts
	setDefault(&t.Auth, 5*time.Second)
	setDefault(&t.Write, 10*time.Second)
	setDefault(&t.Close, 2*time.Second)
	setDefault(&t.Ping, 30*time.Second)
	setDefault(&t.Pong, 10*time.Second)
	setDefault(&t.Idle, time.Hour)
	setDefault(&t.Lifetime, 24*time.Hour)
	setDefault(&t.Report, 10*time.Second)
	setDefault(&t.Observe, time.Second)
	setDefault(&c.Queue.Bytes, 256<<10)
	setDefault(&c.Queue.Messages, 1024)
	if t.Auth < 0 || t.Write < 0 || t.Close < 0 || t.Pong < 0 || t.Report < 0 || t.Observe < 0 {
		fault("Timeouts: only Ping, Idle and Lifetime may be negative")
	}
	if l.Connections < 0 || l.Handshakes < 0 || l.Addresses < 0 || l.Users < 0 || l.Tenants < 0 {
		fault("Limits: Connections, Handshakes, Addresses, Users and Tenants must not be negative")
	}
	if c.Queue.Bytes < 0 || c.Queue.Messages < 0 {
		fault("Queue: must not be negative")
	}
	return c, errors.Join(faults...)
}

func setDefault[T int | time.Duration](v *T, byDefault T) {
	if *v == 0 {
		*v = byDefault
	}
}

func (r Rate) or(byDefault Rate) Rate {
	if r.PerSecond == 0 {
		return byDefault
	}
	return r
}

func (q Quota) or(byDefault Quota) Quota {
	q.Handshakes = q.Handshakes.or(byDefault.Handshakes)
	q.Messages = q.Messages.or(byDefault.Messages)
	q.Bytes = q.Bytes.or(byDefault.Bytes)
	setDefault(&q.Connections, byDefault.Connections)
	return q
}
