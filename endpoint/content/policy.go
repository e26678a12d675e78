package content

import (
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/sockeye-project/sockeye/endpoint/auth"
	"github.com/sockeye-project/sockeye/event"
	"github.com/sockeye-project/sockeye/wire"
)

// Policy is a manifest and its schemas, ready for use. It does not change.
type Policy struct {
	enforce   uint64 // in hundredths of a percent
	closes    bool
	maxBytes  int
	maxDepth  int
	maxSteps  int
	protocols map[string]*protocol
	hasAccess bool
	accessAt  place
	rules     []*rule

	// Where all that was written, for Compare. A Guard does not keep the sources.
	file, dir string
	sources   map[string]*source
}

const hundredths = 100 * 100

// place is where something stands in the manifest.
type place struct {
	line, column int
	path         string
}

// protocol is what one subprotocol's messages may be.
type protocol struct {
	place
	name              string
	socketIO          bool // messages are packets, whose types are their events
	typeAt, versionAt []step
	acceptUnknown     bool
	binary            string
	types             map[string]*kindOfMessage
}

// kindOfMessage is a type, with an entry for each version and direction.
type kindOfMessage struct {
	name    string
	entries []*entry
	rules   []*rule // those that may apply to it
}

type entry struct {
	place
	id            string
	kind, version string
	direction     string
	schema        *schema
	until         time.Time // the day from which it is refused; zero if it is not deprecated
	refused       bool
}

// Sender is who sends a message, and how.
type Sender struct {
	// Subprotocol is the one that was negotiated, or "".
	Subprotocol string
	// Identity is that of the client, also for what the server sends.
	Identity auth.Identity
	// Outgoing is for a message that the server sends. Access rules are not asked about those.
	Outgoing bool
}

// Verdict is what a policy says of a message.
type Verdict struct {
	// Refused is why: an error.type of websocket.message.rejected, "" for a message that is accepted.
	Refused string
	// Schema is the message's entry in the manifest, as subprotocol/type@version; "" if there is none.
	Schema string
	// Type and Version are the message's own, as they stand in the manifest; "" for one that it does not have.
	Type, Version string
	// Deprecated is until when the version is accepted; zero if it is not deprecated.
	Deprecated time.Time
}

var documents = sync.Pool{New: func() any { return new(document) }}

// maxKept is how many tokens and bytes a document keeps for the next message.
const maxKept = 16 << 10

// release gives a document back, unless a long message made it large.
func release(d *document) {
	d.data = nil
	if cap(d.tokens) <= maxKept && cap(d.scratch) <= maxKept {
		documents.Put(d)
	}
}

// Check returns what the policy says of a message, whatever the mode is. It may be called from any goroutine and keeps nothing.
//
// It asks in this order: is there an entry for the subprotocol; is the message JSON within the limits; may the identity
// send this type; is the type known; is the version accepted; does the message follow the schema. Where messages are those of
// Socket.IO the last two are asked of an event's argument.
func (p *Policy) Check(from *Sender, m wire.Message, now time.Time) (v Verdict) {
	proto := p.protocols[from.Subprotocol]
	if proto == nil {
		if proto = p.protocols["*"]; proto == nil {
			v.Refused = event.UnknownType
			return v
		}
	}
	if m.Opcode == wire.OpBinary && proto.binary != "json" {
		switch {
		case proto.binary != "accept":
			v.Refused = event.UnknownType
		case !from.Outgoing && !p.allowed(p.rules, from, nil, false):
			v.Refused = event.ACLDenied
		}
		return v
	}
	if len(m.Payload) > p.maxBytes {
		v.Refused = event.SchemaInvalid
		return v
	}
	text := m.Payload
	var frame packet
	if proto.socketIO {
		var ok bool
		switch frame, ok = parsePacket(m.Payload, from.Outgoing); {
		case !ok:
			v.Refused = event.SchemaInvalid
			return v
		case frame.binary && proto.binary != "accept":
			v.Refused = event.UnknownType
			return v
		case frame.kind == control:
			return v
		}
		text = frame.json
	}
	d := documents.Get().(*document)
	defer release(d)
	whole := d.parse(text, p.maxDepth)
	if !whole && (!proto.socketIO || len(text) > 0) {
		v.Refused = event.SchemaInvalid
		return v
	}
	var name []byte
	var found, ambiguous bool
	if proto.socketIO {
		name, found = frame.name(d)
	} else {
		name, found, ambiguous = d.name(proto.typeAt)
	}
	if ambiguous {
		v.Refused = event.SchemaInvalid
		return v
	}
	var known *kindOfMessage
	rules := p.rules
	if found {
		if known = proto.types[string(name)]; known != nil {
			v.Type, rules = known.name, known.rules
		}
	}
	if !from.Outgoing && !p.allowed(rules, from, name, known != nil) {
		v.Refused = event.ACLDenied
		return v
	}
	if known == nil {
		if !proto.acceptUnknown {
			v.Refused = event.UnknownType
		}
		return v
	}
	if proto.socketIO {
		text, whole = frame.argument(d)
		whole = whole && d.parse(text, p.maxDepth)
	}
	var version []byte
	if len(proto.versionAt) > 0 && whole {
		if version, _, ambiguous = d.name(proto.versionAt); ambiguous {
			v.Refused = event.SchemaInvalid
			return v
		}
	}
	e, wrong := known.entry(version, from.Outgoing)
	if e == nil {
		v.Refused = wrong
		return v
	}
	v.Schema, v.Version = e.id, e.version
	if e.refused || !e.until.IsZero() && !now.Before(e.until) {
		v.Refused = event.UnsupportedVersion
		return v
	}
	v.Deprecated = e.until
	if e.schema != nil && (!whole || !e.schema.valid(d, p.maxSteps)) {
		v.Refused = event.SchemaInvalid
	}
	return v
}

// name is a type or a version: a string, or a number as it is written.
func (d *document) name(at []step) (name []byte, found, ambiguous bool) {
	i, found, ambiguous := d.find(at)
	if t := d.tokens[i]; found && (t.kind == kindString || t.kind == kindNumber) {
		return d.text(t), true, ambiguous
	}
	return nil, false, ambiguous
}

// entry finds the version, and says otherwise what is wrong: a type that only the other side may send is unknown.
func (k *kindOfMessage) entry(version []byte, outgoing bool) (*entry, string) {
	wrong := event.UnknownType
	for _, e := range k.entries {
		if e.direction == event.DirectionReceive && outgoing || e.direction == event.DirectionTransmit && !outgoing {
			continue
		}
		if e.version == string(version) {
			return e, ""
		}
		wrong = event.UnsupportedVersion
	}
	return nil, wrong
}

// Enforced reports whether refusals on a connection are enforced. With enforce_percent between 0 and 100 it depends on the
// connection's id alone, so that a connection is always on one side, in every process; a higher percentage only adds to it.
func (p *Policy) Enforced(connection string) bool {
	switch p.enforce {
	case 0:
		return false
	case hundredths:
		return true
	}
	return hash(connection)%hundredths < p.enforce
}

// hash is FNV-1a, stirred at the end since its low bits are weak for short texts.
func hash(s string) uint64 {
	h := uint64(14695981039346656037)
	for i := range len(s) {
		h = (h ^ uint64(s[i])) * 1099511628211
	}
	h ^= h >> 32
	h *= 0xd6e8feb86659fd93
	return h ^ h>>32
}

// prepare finds, for every type, the rules that may apply to it.
func (p *Policy) prepare() {
	for _, proto := range p.protocols {
		for _, k := range proto.types {
			for _, r := range p.rules {
				if matchAny(r.types, k.name) {
					k.rules = append(k.rules, r)
				}
			}
		}
	}
}

// String says what there is, for a log.
func (p *Policy) String() string {
	messages, schemas := 0, map[*schema]bool{}
	for _, proto := range p.protocols {
		for _, k := range proto.types {
			messages += len(k.entries)
			for _, e := range k.entries {
				if e.schema != nil {
					schemas[e.schema] = true
				}
			}
		}
	}
	access := "no access rules"
	if p.hasAccess {
		access = count(len(p.rules), "access rule")
	}
	return strings.Join([]string{
		count(len(p.protocols), "protocol"), count(messages, "message"), count(len(schemas), "schema"), access,
	}, ", ") + "; " + p.Mode()
}

// Mode is "observe", or such as "enforce on 25 %": of the connections.
func (p *Policy) Mode() string {
	if p.enforce == 0 {
		return "observe"
	}
	return fmt.Sprintf("enforce on %g %%", float64(p.enforce)/100)
}

func count(n int, what string) string {
	if n != 1 {
		what += "s"
	}
	return strconv.Itoa(n) + " " + what
}
