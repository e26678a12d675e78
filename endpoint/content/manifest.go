package content

import (
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/sockeye-project/sockeye/event"
)

// Manifests are the names that a manifest may have. A directory has one of them.
var Manifests = []string{"content.yaml", "content.json"}

const (
	maxManifestBytes = 1 << 20
	maxEntries       = 10000
	maxRules         = 1000
)

// Load reads the manifest and the schemas of a directory. The error is [Faults], unless the directory cannot be read.
func Load(dir string) (*Policy, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, fmt.Errorf("content directory: %w", err)
	}
	defer root.Close()
	var faults Faults
	p := load(root.FS(), filepath.ToSlash(dir), &faults)
	if err := faults.err(); err != nil {
		return nil, err
	}
	return p, nil
}

func load(fsys fs.FS, dir string, faults *Faults) *Policy {
	var names []string
	for _, name := range Manifests {
		if _, err := fs.Stat(fsys, name); err == nil {
			names = append(names, name)
		}
	}
	if len(names) != 1 {
		what := "there is no manifest; write " + strings.Join(Manifests, " or ")
		if len(names) > 1 {
			what = "there are several manifests: " + strings.Join(names, " and ") + "; keep one"
		}
		*faults = append(*faults, Fault{File: dir, What: what})
		return nil
	}
	file := path.Join(dir, names[0])
	text, err := readFile(fsys, names[0])
	if err != nil {
		*faults = append(*faults, Fault{File: file, What: "cannot be read: " + reason(err)})
		return nil
	}
	var doc yaml.Node
	decoder := yaml.NewDecoder(strings.NewReader(string(text)))
	if err := decoder.Decode(&doc); err != nil && err != io.EOF {
		f := Fault{File: file, Line: 1, Column: 1, What: "not valid YAML: " + strings.TrimPrefix(err.Error(), "yaml: ")}
		if _, err := fmt.Sscanf(err.Error(), "yaml: line %d:", &f.Line); err == nil {
			_, f.What, _ = strings.Cut(f.What, ": line ")
			_, f.What, _ = strings.Cut(f.What, ": ")
			f.What = "not valid YAML: " + f.What
		}
		*faults = append(*faults, f)
		return nil
	}
	if err := decoder.Decode(new(yaml.Node)); err != io.EOF {
		*faults = append(*faults, Fault{File: file, What: "there must be one document"})
		return nil
	}
	r := reader{file: file, faults: faults}
	if len(doc.Content) == 0 {
		r.fault(&yaml.Node{Line: 1, Column: 1}, "", "is empty")
		return nil
	}
	found := newSchemas(fsys, dir, faults)
	found.readAll(names[0])
	m := manifest{reader: r, schemas: found, policy: &Policy{file: file, dir: dir, sources: found.sources}}
	m.read(doc.Content[0])
	return m.policy
}

func readFile(fsys fs.FS, name string) ([]byte, error) {
	f, err := fsys.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return readBounded(f, maxManifestBytes)
}

func readBounded(r io.Reader, limit int64) ([]byte, error) {
	text, err := io.ReadAll(io.LimitReader(r, limit+1))
	if err == nil && int64(len(text)) > limit {
		err = fmt.Errorf("larger than %d bytes", limit)
	}
	return text, err
}

// reader takes YAML apart and notes every fault with its place.
type reader struct {
	file   string
	faults *Faults
}

func (r *reader) fault(n *yaml.Node, at, what string) {
	*r.faults = append(*r.faults, Fault{r.file, n.Line, n.Column, at, what})
}

func key(at, name string) string {
	if at == "" {
		return name
	}
	return at + "." + name
}

// fields returns the values of a mapping whose keys are among names.
func (r *reader) fields(n *yaml.Node, at string, names ...string) map[string]*yaml.Node {
	if n.Kind != yaml.MappingNode {
		r.fault(n, at, "must be a mapping")
		return nil
	}
	found := map[string]*yaml.Node{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		name := n.Content[i]
		switch {
		case !slices.Contains(names, name.Value):
			r.fault(name, key(at, name.Value), "unknown key; there are "+strings.Join(names, ", "))
		case found[name.Value] != nil:
			r.fault(name, key(at, name.Value), "is there twice")
		default:
			found[name.Value] = n.Content[i+1]
		}
	}
	return found
}

func (r *reader) list(n *yaml.Node, at string, limit int) []*yaml.Node {
	if n == nil {
		return nil
	}
	if n.Kind != yaml.SequenceNode {
		r.fault(n, at, "must be a list")
		return nil
	}
	if len(n.Content) > limit {
		r.fault(n, at, fmt.Sprintf("must have at most %d elements, got %d", limit, len(n.Content)))
		return nil
	}
	return n.Content
}

func (r *reader) scalar(n *yaml.Node, at string, what string) (string, bool) {
	if n.Kind != yaml.ScalarNode || n.Tag == "!!null" {
		r.fault(n, at, "must be "+what)
		return "", false
	}
	return n.Value, true
}

func (r *reader) text(n *yaml.Node, at string) string {
	if n == nil {
		return ""
	}
	s, _ := r.scalar(n, at, "a text")
	return s
}

func (r *reader) texts(n *yaml.Node, at string) []string {
	var all []string
	for i, item := range r.list(n, at, maxRules) {
		if s, ok := r.scalar(item, fmt.Sprintf("%s[%d]", at, i), "a text"); ok {
			all = append(all, s)
		}
	}
	if n != nil && n.Kind == yaml.SequenceNode && len(n.Content) == 0 {
		r.fault(n, at, "must not be empty; leave it out to ask for nothing")
	}
	return all
}

func (r *reader) choice(n *yaml.Node, at, byDefault string, options ...string) string {
	if n == nil {
		return byDefault
	}
	if n.Kind != yaml.ScalarNode || !slices.Contains(options, n.Value) {
		r.fault(n, at, "must be "+strings.Join(options, " or "))
		return byDefault
	}
	return n.Value
}

func (r *reader) int(n *yaml.Node, at string, byDefault, low, high int) int {
	if n == nil {
		return byDefault
	}
	v, err := strconv.Atoi(n.Value)
	if n.Kind != yaml.ScalarNode || err != nil || v < low || v > high {
		r.fault(n, at, fmt.Sprintf("must be a whole number from %d to %d", low, high))
		return byDefault
	}
	return v
}

func (r *reader) bool(n *yaml.Node, at string) bool {
	if n == nil {
		return false
	}
	if n.Tag != "!!bool" {
		r.fault(n, at, "must be true or false")
	}
	return n.Value == "true"
}

// manifest makes a policy of a document.
type manifest struct {
	reader
	schemas *schemas
	policy  *Policy
	entries int
}

func (m *manifest) read(n *yaml.Node) {
	p := m.policy
	f := m.fields(n, "", "version", "mode", "enforce_percent", "on_refusal", "limits", "protocols", "access")
	if f == nil {
		return
	}
	if v := f["version"]; v == nil {
		m.fault(n, "version", "must be 1")
	} else if v.Value != "1" {
		m.fault(v, "version", "must be 1, the form that this program knows")
	}
	if m.choice(f["mode"], "mode", "observe", "observe", "enforce") == "enforce" {
		p.enforce = hundredths
	}
	if percent := f["enforce_percent"]; percent != nil {
		v, err := strconv.ParseFloat(percent.Value, 64)
		switch {
		case percent.Kind != yaml.ScalarNode || err != nil || !(v >= 0 && v <= 100):
			m.fault(percent, "enforce_percent", "must be a number from 0 to 100")
		case p.enforce == 0:
			m.fault(percent, "enforce_percent", "needs mode: enforce")
		default:
			p.enforce = uint64(v*100 + 0.5)
		}
	}
	p.closes = m.choice(f["on_refusal"], "on_refusal", "drop", "drop", "close") == "close"
	p.maxBytes, p.maxDepth, p.maxSteps = 64<<10, 32, 100_000
	if limits := f["limits"]; limits != nil {
		l := m.fields(limits, "limits", "message_bytes", "depth", "steps")
		p.maxBytes = m.int(l["message_bytes"], "limits.message_bytes", p.maxBytes, 1, 16<<20)
		p.maxDepth = m.int(l["depth"], "limits.depth", p.maxDepth, 1, maxDepth)
		p.maxSteps = m.int(l["steps"], "limits.steps", p.maxSteps, 100, 10_000_000)
	}
	if f["protocols"] == nil || f["protocols"].Kind == yaml.SequenceNode && len(f["protocols"].Content) == 0 {
		m.fault(n, "protocols", "must be set: a list with an element for each subprotocol")
	}
	p.protocols = map[string]*protocol{}
	for i, item := range m.list(f["protocols"], "protocols", maxEntries) {
		m.protocol(item, fmt.Sprintf("protocols[%d]", i))
	}
	if access := f["access"]; access != nil {
		p.hasAccess, p.accessAt = true, place{access.Line, access.Column, "access"}
		for i, item := range m.list(access, "access", maxRules) {
			m.rule(item, fmt.Sprintf("access[%d]", i))
		}
	}
	p.prepare()
}

func (m *manifest) protocol(n *yaml.Node, at string) {
	f := m.fields(n, at, "subprotocol", "encoding", "type", "message_version", "unknown", "binary", "messages")
	if f == nil {
		return
	}
	p := &protocol{
		name: m.text(f["subprotocol"], at+".subprotocol"), place: place{n.Line, n.Column, at},
		types: map[string]*kindOfMessage{},
	}
	if f["subprotocol"] == nil {
		m.fault(n, at+".subprotocol", `must be set; "" is for connections without, "*" for all that are not named`)
	} else if m.policy.protocols[p.name] != nil {
		m.fault(f["subprotocol"], at+".subprotocol", fmt.Sprintf("%q is there twice", p.name))
	}
	m.policy.protocols[p.name] = p
	p.socketIO = m.choice(f["encoding"], at+".encoding", "json", "json", "socketio") == "socketio"
	if p.socketIO && f["type"] != nil {
		m.fault(f["type"], at+".type", "must be left out with encoding socketio, where it is the event")
	}
	if f["type"] == nil && !p.socketIO {
		m.fault(n, at+".type", "must be set: a JSON pointer to a message's type, such as /type, or /0 in arrays")
	}
	p.typeAt = m.pointer(f["type"], at+".type")
	p.versionAt = m.pointer(f["message_version"], at+".message_version")
	p.acceptUnknown = m.choice(f["unknown"], at+".unknown", "refuse", "refuse", "accept") == "accept"
	p.binary = m.choice(f["binary"], at+".binary", "refuse", "refuse", "accept", "json")
	if p.socketIO && p.binary == "json" {
		m.fault(f["binary"], at+".binary", "must be refuse or accept with encoding socketio, where it is attachments")
	}
	for i, item := range m.list(f["messages"], at+".messages", maxEntries) {
		m.message(p, item, fmt.Sprintf("%s.messages[%d]", at, i), f["message_version"] != nil)
	}
}

// pointer reads a JSON pointer (RFC 6901).
func (m *manifest) pointer(n *yaml.Node, at string) []step {
	if n == nil {
		return nil
	}
	text, ok := m.scalar(n, at, "a JSON pointer, such as /type")
	if !ok {
		return nil
	}
	if !strings.HasPrefix(text, "/") {
		m.fault(n, at, "must be a JSON pointer that begins with /, such as /type")
		return nil
	}
	var steps []step
	for name := range strings.SplitSeq(text[1:], "/") {
		name = strings.NewReplacer("~1", "/", "~0", "~").Replace(name)
		s := step{name: name, folded: []byte(name), index: -1}
		if i, err := strconv.Atoi(name); err == nil && i >= 0 && strconv.Itoa(i) == name {
			s.index = i
		}
		steps = append(steps, s)
	}
	if len(steps) > maxDepth {
		m.fault(n, at, fmt.Sprintf("must have at most %d steps", maxDepth))
		return nil
	}
	return steps
}

func (m *manifest) message(p *protocol, n *yaml.Node, at string, versioned bool) {
	f := m.fields(n, at, "type", "version", "schema", "direction", "deprecated", "refused")
	if f == nil {
		return
	}
	if m.entries++; m.entries > maxEntries {
		if m.entries == maxEntries+1 {
			m.fault(n, at, fmt.Sprintf("there are more than %d messages", maxEntries))
		}
		return
	}
	e := &entry{
		place: place{n.Line, n.Column, at}, kind: m.text(f["type"], at+".type"), version: m.text(f["version"], at+".version"),
		direction: m.choice(f["direction"], at+".direction",
			event.DirectionReceive, event.DirectionReceive, event.DirectionTransmit, "both"),
		refused: m.bool(f["refused"], at+".refused"),
	}
	if e.kind == "" {
		m.fault(n, at+".type", "must be set")
	}
	if e.version != "" && !versioned {
		m.fault(f["version"], at+".version", "needs message_version, the place where messages have it")
	}
	if d := f["deprecated"]; d != nil {
		until, err := time.Parse(time.DateOnly, d.Value)
		if err != nil {
			m.fault(d, at+".deprecated", "must be the day from which it is refused, such as 2027-03-01")
		}
		e.until = until
	}
	if e.refused && (f["deprecated"] != nil || f["schema"] != nil) {
		m.fault(n, at, "refused goes with neither deprecated nor schema")
	}
	e.id = p.name + "/" + e.kind
	if e.version != "" {
		e.id += "@" + e.version
	}
	if s := f["schema"]; s != nil {
		name, ok := m.scalar(s, at+".schema", "a file in this directory")
		if src, there := m.schemas.sources[path.Clean(name)]; ok && !there {
			m.fault(s, at+".schema", fmt.Sprintf("%q is no *.json file below this directory", name))
		} else if ok && src != nil {
			e.schema = m.schemas.compile(path.Clean(name))
		}
	}
	k := p.types[e.kind]
	if k == nil {
		k = &kindOfMessage{name: e.kind}
		p.types[e.kind] = k
	}
	for _, other := range k.entries {
		overlap := other.direction == e.direction || other.direction == "both" || e.direction == "both"
		if overlap && other.version == e.version {
			m.fault(n, at, fmt.Sprintf("the same type, version and direction as %s", other.place.path))
		}
	}
	k.entries = append(k.entries, e)
}

func (m *manifest) rule(n *yaml.Node, at string) {
	f := m.fields(n, at, "allow", "deny", "subprotocols", "scopes", "tenants", "tiers", "subjects")
	if f == nil {
		return
	}
	r := &rule{
		place: place{n.Line, n.Column, at}, allow: f["allow"] != nil,
		scopes: m.texts(f["scopes"], at+".scopes"), tenants: m.texts(f["tenants"], at+".tenants"),
		tiers: m.texts(f["tiers"], at+".tiers"), subjects: m.texts(f["subjects"], at+".subjects"),
		protocols: m.texts(f["subprotocols"], at+".subprotocols"),
	}
	if (f["allow"] == nil) == (f["deny"] == nil) {
		m.fault(n, at, "must have one of allow and deny, each a list of types")
		return
	}
	if r.allow {
		r.types = m.texts(f["allow"], at+".allow")
	} else {
		r.types = m.texts(f["deny"], at+".deny")
	}
	for _, patterns := range [][]string{r.types, r.subjects} {
		for _, pattern := range patterns {
			if strings.Count(pattern, "*") > 4 {
				m.fault(n, at, fmt.Sprintf("%q has more than 4 stars", pattern))
			}
		}
	}
	m.policy.rules = append(m.policy.rules, r)
}
