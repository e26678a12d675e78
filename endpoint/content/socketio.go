package content

import (
	"bytes"
	"slices"
	"strings"
)

// Socket.IO 5 over Engine.IO 4: a digit for Engine.IO, one for Socket.IO, for binary events the number of attachments and a
// dash, a namespace and a comma unless it is "/", the id of an acknowledgement, and JSON. So 42/chat,7["post",{"text":"x"}]
// is the event "post" with one argument.

// packetKind is what a packet is for us.
type packetKind uint8

const (
	control     packetKind = iota // of Engine.IO: it carries nothing
	connect                       // JSON is what the client authenticates with, if anything
	disconnect                    // without JSON
	happening                     // JSON is an array of the event's name and its arguments
	acknowledge                   // JSON is an array of arguments
)

// Types of packets that are no events. Events that are called so are refused.
const (
	typeConnect    = "CONNECT"
	typeDisconnect = "DISCONNECT"
	typeAck        = "ACK"
)

// reservedEvents cannot be sent: Socket.IO tells programs of itself under these names.
var reservedEvents = []string{
	"connect", "connect_error", "disconnect", "disconnecting", "newListener", "removeListener",
	typeConnect, typeDisconnect, typeAck,
}

type packet struct {
	kind      packetKind
	binary    bool
	namespace string // "" is "/"
	json      []byte
}

const (
	maxNamespace = 128
	maxAckID     = 16 // digits
)

// parsePacket reads a packet. It takes one spelling of each and refuses what Socket.IO's own parser might read in another way.
func parsePacket(b []byte, outgoing bool) (p packet, ok bool) {
	switch string(b) {
	case "1", "2", "3", "5", "6", "2probe", "3probe":
		return p, true
	}
	if outgoing && len(b) > 0 && b[0] == '0' {
		return p, true // the server's first packet
	}
	if len(b) < 2 || b[0] != '4' {
		return p, false
	}
	kind := b[1]
	switch b = b[2:]; kind {
	case '0':
		p.kind = connect
	case '1':
		p.kind = disconnect
	case '2', '5':
		p.kind = happening
	case '3', '6':
		p.kind = acknowledge
	case '4':
		if p.kind = connect; !outgoing {
			return p, false // only servers refuse connections
		}
	default:
		return p, false
	}
	if p.binary = kind == '5' || kind == '6'; p.binary {
		n := digits(b)
		if n == 0 || n > 2 || n == len(b) || b[n] != '-' {
			return p, false
		}
		b = b[n+1:]
	}
	if len(b) > 0 && b[0] == '/' {
		name, rest, _ := bytes.Cut(b, []byte(","))
		if len(name) > maxNamespace || bytes.ContainsAny(name, "?[{\"") {
			return p, false
		}
		if b = rest; len(name) > 1 {
			p.namespace = string(name)
		}
	}
	if p.kind == happening || p.kind == acknowledge {
		n := digits(b)
		if n > maxAckID || n == 0 && p.kind == acknowledge {
			return p, false
		}
		b = b[n:]
	}
	p.json = b
	switch p.kind {
	case connect:
		return p, len(b) == 0 || b[0] == '{'
	case disconnect:
		return p, len(b) == 0
	}
	return p, len(b) > 0 && b[0] == '['
}

func digits(b []byte) (n int) {
	for n < len(b) && b[n]-'0' <= 9 {
		n++
	}
	return n
}

// name is the type of a packet whose JSON is in d: that of the event or of the packet, behind its namespace and a comma
// unless that is "/".
func (p *packet) name(d *document) (name []byte, found bool) {
	switch p.kind {
	case connect:
		name = []byte(typeConnect)
	case disconnect:
		name = []byte(typeDisconnect)
	case acknowledge:
		name = []byte(typeAck)
	case happening:
		if d.tokens[0].count == 0 {
			return nil, false
		}
		t := d.tokens[1]
		if t.kind != kindString && t.kind != kindNumber {
			return nil, false
		}
		if name = d.text(t); slices.Contains(reservedEvents, string(name)) || strings.HasPrefix(string(name), "/") {
			return nil, false
		}
	}
	if p.namespace != "" {
		name = slices.Concat([]byte(p.namespace), []byte(","), name)
	}
	return name, true
}

// argument is the JSON that schemas and versions are about: that of the connection, or the one argument of an event or an
// acknowledgement. Without one, or with several, there is none.
func (p *packet) argument(d *document) (json []byte, ok bool) {
	switch p.kind {
	case connect:
		return p.json, len(p.json) > 0
	case happening, acknowledge:
		before := 0
		if p.kind == happening {
			before = 1
		}
		if int(d.tokens[0].count) != before+1 {
			return nil, false
		}
		inner := bytes.TrimRight(p.json, " \t\r\n")
		inner = inner[1 : len(inner)-1]
		if before == 0 {
			return inner, true
		}
		// Behind the name, which may have commas.
		end := len(inner) - len(bytes.TrimLeft(inner, " \t\r\n"))
		if inner[end] == '"' {
			for end++; inner[end] != '"'; end++ {
				if inner[end] == '\\' {
					end++
				}
			}
		}
		return inner[end+bytes.IndexByte(inner[end:], ',')+1:], true
	}
	return nil, false
}
