package embedded

import (
	"bufio"
	"errors"
	"fmt"
	"strings"

	"github.com/ClickHouse/ch-go/proto"
)

// nativeRevision is the newest revision of the native protocol that is spoken here; an older client decides instead.
const nativeRevision = proto.Version

// oldestRevision is the first with what the server needs: the client's part of a query, and LowCardinality.
const oldestRevision = 54405

// What a client may send before its rows.
const (
	maxNameBytes  = 16 << 10 // of names, values of settings and the like
	maxValueBytes = 1 << 20  // of a parameter's value
	maxNamed      = 1000     // settings or parameters of a query
	maxNamedBytes = 4 << 20  // of all their names and values
)

// errProtocol marks what no client of the native protocol sends. Nothing can be read after it.
var errProtocol = errors.New("native protocol")

// packets reads what a client sends.
type packets struct {
	r        *bufio.Reader
	revision int
	// numeric says whether a setting is a number, and whether there is one of that name: before they were sent as texts
	// one had to know.
	numeric func(name string) (number, known bool)
}

func (p packets) text(most uint64) (string, error) {
	text, err := readText(p.r, most)
	return text, cut(err)
}

func (p packets) number() (uint64, error) {
	n, err := readNumber(p.r)
	return n, cut(err)
}

func (p packets) has(f proto.Feature) bool { return f.In(p.revision) }

// hello is how a client introduces itself.
type hello struct {
	revision           int
	database, password string
}

// readHello reads the rest of a hello.
func (p packets) readHello() (h hello, err error) {
	if _, err = p.text(maxNameBytes); err != nil { // its name
		return h, err
	}
	var numbers [3]uint64
	for i := range numbers {
		if numbers[i], err = p.number(); err != nil {
			return h, err
		}
	}
	h.revision = int(min(numbers[2], nativeRevision))
	var user string
	for _, to := range []*string{&h.database, &user, &h.password} {
		if *to, err = p.text(maxNameBytes); err != nil {
			return h, err
		}
	}
	if strings.HasPrefix(user, " ") {
		return h, fmt.Errorf("%w: the user is a marker of another way to log in, which is not offered", errProtocol)
	}
	return h, nil
}

// nativeQuery is a query as the native protocol sends it.
type nativeQuery struct {
	id, text   string
	settings   []nativeSetting
	params     []Parameter
	stage      uint64
	compressed bool
}

type nativeSetting struct {
	setting
	important bool
}

// readQuery reads the rest of a query.
func (p packets) readQuery() (q nativeQuery, err error) {
	if q.id, err = p.text(maxNameBytes); err != nil {
		return q, err
	}
	if err := p.skipClientInfo(); err != nil {
		return q, err
	}
	if q.settings, err = p.readSettings(); err != nil {
		return q, err
	}
	if p.has(proto.FeatureInterServerSecret) {
		secret, err := p.text(maxNameBytes)
		if err != nil {
			return q, err
		}
		if secret != "" {
			return q, fmt.Errorf("%w: queries from another server are not taken", errProtocol)
		}
	}
	if q.stage, err = p.number(); err != nil {
		return q, err
	}
	compression, err := p.number()
	if err != nil {
		return q, err
	}
	q.compressed = compression != 0
	if q.text, err = p.text(maxStatementBytes); err != nil {
		return q, err
	}
	if p.has(proto.FeatureParameters) {
		params, err := p.readSettings()
		if err != nil {
			return q, err
		}
		for _, param := range params {
			q.params = append(q.params, Parameter{Name: param.name, Value: unquoteField(param.value)})
		}
	}
	return q, nil
}

// skipClientInfo reads over what a client says of itself and of the query that its own is part of.
func (p packets) skipClientInfo() error {
	kind, err := p.r.ReadByte()
	if err != nil {
		return cut(err)
	}
	if proto.ClientQueryKind(kind) == proto.ClientQueryNone {
		return nil
	}
	skip := func(parts ...func() error) error {
		for _, part := range parts {
			if err := part(); err != nil {
				return cut(err)
			}
		}
		return nil
	}
	text := func() error { _, err := p.text(maxNameBytes); return err }
	number := func() error { _, err := p.number(); return err }
	bytes := func(n int) func() error {
		return func() error { _, err := p.r.Discard(n); return err }
	}
	since := func(f proto.Feature, part func() error) func() error {
		if p.has(f) {
			return part
		}
		return func() error { return nil }
	}
	return skip(
		text, text, text, // the first query's user, id and address
		since(proto.FeatureQueryStartTime, bytes(8)),
		func() error {
			way, err := p.r.ReadByte()
			if err == nil && proto.Interface(way) != proto.InterfaceTCP {
				err = fmt.Errorf("%w: a client that says it came by interface %d", errProtocol, way)
			}
			return err
		},
		text, text, text, // user, host and name of the client
		number, number, number, // its version
		since(proto.FeatureQuotaKeyInClientInfo, text),
		since(proto.FeatureDistributedDepth, number),
		since(proto.FeatureVersionPatch, number),
		since(proto.FeatureOpenTelemetry, func() error {
			traced, err := p.r.ReadByte()
			if err != nil || traced == 0 {
				return err
			}
			return skip(bytes(16+8), text, bytes(1))
		}),
		since(proto.FeatureParallelReplicas, func() error { return skip(number, number, number) }),
	)
}

// readSettings reads names and values up to an empty name.
func (p packets) readSettings() ([]nativeSetting, error) {
	var settings []nativeSetting
	for total := 0; ; {
		name, err := p.text(maxNameBytes)
		if err != nil {
			return nil, err
		}
		if name == "" {
			return settings, nil
		}
		if len(settings) == maxNamed {
			return nil, fmt.Errorf("%w: more than %d settings or parameters", errProtocol, maxNamed)
		}
		s := nativeSetting{setting: setting{name: name}, important: true}
		if p.has(proto.FeatureSettingsSerializedAsStrings) {
			flags, err := p.number()
			if err != nil {
				return nil, err
			}
			s.important = flags&1 != 0
			if s.value, err = p.text(maxValueBytes); err != nil {
				return nil, err
			}
		} else if err := p.readTyped(&s); err != nil {
			return nil, err
		}
		if total += len(s.name) + len(s.value); total > maxNamedBytes {
			return nil, fmt.Errorf("%w: settings or parameters of more than %d bytes", errProtocol, maxNamedBytes)
		}
		settings = append(settings, s)
	}
}

// readTyped reads a setting's value as clients sent it before revision 54429.
func (p packets) readTyped(s *nativeSetting) (err error) {
	number, known := p.numeric(s.name)
	switch {
	case !known:
		return fmt.Errorf("%w: a setting that is unknown here, %q; a client this old cannot send it", errProtocol,
			shorten(s.name))
	case number:
		n, err := p.number()
		s.value = fmt.Sprint(n)
		return err
	}
	s.value, err = p.text(maxValueBytes)
	return err
}

// unquoteField takes a text out of the quotes that parameters come in. Clients that send none mean the text itself.
func unquoteField(value string) string {
	if len(value) < 2 || value[0] != '\'' || value[len(value)-1] != '\'' {
		return value
	}
	value = value[1 : len(value)-1]
	if !strings.ContainsAny(value, `\'`) {
		return value
	}
	var text strings.Builder
	for i := 0; i < len(value); i++ {
		c := value[i]
		if (c == '\\' || c == '\'') && i+1 < len(value) {
			i++
			if c == '\\' {
				if plain := strings.IndexByte("abfnrtv0", value[i]); plain >= 0 {
					text.WriteByte("\a\b\f\n\r\t\v\x00"[plain])
					continue
				}
			}
		}
		text.WriteByte(value[i])
	}
	return text.String()
}
