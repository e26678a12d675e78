package redact

import (
	"strings"

	"github.com/sockeye-project/sockeye/event"
)

// Treatment is what a key deserves. Its zero value drops.
type Treatment struct {
	kind   kind
	rule   Rule
	values []string
}

// Numeric reports whether the key belongs to a number or a bool of the event model, or is kept whatever it holds.
func (t Treatment) Numeric() bool { return t.kind == kindNumber || t.kind == kindKeep }

// Keeps reports whether the policy asks for the value whatever it is.
func (t Treatment) Keeps() bool { return t.kind == kindKeep }

// IsText reports whether the value is free text.
func (t Treatment) IsText() bool { return t.kind == kindText }

// IsAddress reports whether the value is an address to shorten or to replace, which may have a pseudonym beside it.
func (t Treatment) IsAddress() bool { return t.kind == kindAddress || t.kind == kindPrefix }

// IsSubprotocol reports whether the value is a subprotocol, where one item can announce that the next is a secret.
func (t Treatment) IsSubprotocol() bool { return t.kind == kindSubprotocol }

type kind uint8

const (
	kindDrop   kind = iota
	kindKeep        // passed on unseen: only what a policy asks for
	kindEnum        // one of a closed set, or unknown
	kindNumber      // a number or a bool of the event model
	kindIdent       // an opaque id
	kindNonce       // base64 of a few random bytes
	kindSource      // the name of a source: a receiver's id and its host
	kindInfra       // a name of the operator's: no addresses, no versions are looked for
	kindLabel       // a label of low cardinality that a sender may have chosen: as infra, and nothing that looks minted
	kindAgent
	kindText
	kindURL
	kindPath
	kindQuery
	kindSubprotocol
	kindAddress
	kindPseudonym // a pseudonym made by somebody who has the key, or nothing
	kindHash
	kindMask
	kindMinted // masked where it looks minted, text elsewhere
	kindTokenise
	kindPartial
	kindRemarks // what FormatRemarks writes, or nothing
	kindPrefix  // an address, replaced by a pseudonym that keeps prefixes
)

// special are the keys of the event model whose value is more than a label or a number.
var special = map[event.Key]Treatment{
	event.ConnectionID:       {kind: kindIdent},
	event.HandshakeKeyHash:   {kind: kindIdent},
	event.ServerAddress:      {kind: kindInfra},
	event.ClientAddress:      {kind: kindAddress},
	event.ClientHash:         {kind: kindPseudonym, rule: IP},
	event.URLPath:            {kind: kindPath},
	event.URLTemplate:        {kind: kindPath},
	event.URLQuery:           {kind: kindQuery},
	event.SessionID:          {kind: kindHash, rule: AttributeKey},
	event.UserHash:           {kind: kindPseudonym, rule: AttributeKey},
	event.UserID:             {kind: kindDrop, rule: AttributeKey},
	event.UserEmail:          {kind: kindDrop, rule: AttributeKey},
	event.UserAgentOriginal:  {kind: kindAgent},
	event.LogRecordOriginal:  {kind: kindText},
	event.MessageSample:      {kind: kindText},
	event.CloseReason:        {kind: kindText},
	event.ClientSubprotocols: {kind: kindSubprotocol},
	event.Subprotocol:        {kind: kindSubprotocol},
	event.Extensions:         {kind: kindLabel},
	event.HTTPVersion:        {kind: kindLabel},
	event.TLSProtocolVersion: {kind: kindLabel},
	event.DeployVersion:      {kind: kindInfra},
	event.SchemaID:           {kind: kindInfra},
	event.ProgressSource:     {kind: kindSource},
	event.RedactionRemarks:   {kind: kindRemarks, rule: AttributeKey},
}

func attributeTable() map[string]Treatment {
	table := map[string]Treatment{}
	for _, k := range event.Keys() {
		d := k.Definition()
		t, ok := special[k]
		switch {
		case ok:
		case d.Kind == event.KindInt, d.Kind == event.KindDouble, d.Kind == event.KindBool:
			t = Treatment{kind: kindNumber}
		case d.Values != nil:
			t = Treatment{kind: kindEnum, values: d.Values}
		case d.Low:
			t = Treatment{kind: kindLabel}
		default:
			t = Treatment{kind: kindText}
		}
		table[d.Name] = t
	}
	// What spans have besides.
	table[event.HTTPRoute] = Treatment{kind: kindPath}
	table[event.NetworkProtocolVersion] = Treatment{kind: kindLabel}
	return table
}

// infraKeys are resource attributes (OpenTelemetry semantic conventions) that describe the operator's own systems.
var infraKeys = []string{
	"service.name", "service.namespace", "service.instance.id", "service.version", "deployment.environment.name",
	"deployment.environment", "cloud.provider", "cloud.region", "cloud.availability_zone", "cloud.platform",
	"host.name", "host.id", "host.arch", "host.type", "host.image.name", "os.type", "os.name", "os.version",
	"os.description", "telemetry.sdk.name", "telemetry.sdk.language", "telemetry.sdk.version",
	"telemetry.distro.name", "telemetry.distro.version", "container.id", "container.name", "container.image.name",
	"container.runtime", "process.pid", "process.executable.name", "process.runtime.name", "process.runtime.version",
	"k8s.cluster.name", "k8s.cluster.uid", "k8s.namespace.name", "k8s.node.name", "k8s.node.uid", "k8s.pod.name",
	"k8s.pod.uid", "k8s.container.name", "k8s.container.restart_count", "k8s.replicaset.name", "k8s.replicaset.uid",
	"k8s.deployment.name", "k8s.deployment.uid", "k8s.statefulset.name", "k8s.statefulset.uid", "k8s.daemonset.name",
	"k8s.daemonset.uid", "k8s.job.name", "k8s.job.uid", "k8s.cronjob.name", "k8s.cronjob.uid",
}

func resourceTable() map[string]Treatment {
	table := map[string]Treatment{}
	for _, k := range infraKeys {
		table[k] = Treatment{kind: kindInfra}
	}
	return table
}

// What names a chunk (internal/eventlog) must survive as it is, or the chunk is no longer exact. An id that
// is no identifier is treated like any text; the exporter notices.
func scopeTable() map[string]Treatment {
	return map[string]Treatment{
		"sockeye.chunk.id":       {kind: kindIdent},
		"sockeye.chunk.records":  {kind: kindNumber},
		"sockeye.chunk.repeated": {kind: kindNumber},
	}
}

// Table names one of the key tables.
type Table uint8

// The tables: attributes of records, of resources and of scopes.
const (
	Record Table = iota
	Resource
	Scope

	tableCount
)

// judged is what was decided about a key that is in no table.
type judged struct {
	treatment Treatment
	ok        bool
}

// maxJudged bounds the memory for keys that senders chose.
const maxJudged = 1024

// Key returns the treatment of an attribute. Not ok means that the key must go because of its own text.
func (s *Scanner) Key(table Table, key string) (t Treatment, ok bool) {
	if table == Record {
		if k, ok := event.KeyOf(key); ok {
			return s.e.known[k], true
		}
	}
	if t, ok := s.e.tables[table][key]; ok {
		return t, true
	}
	if !s.e.settings.ScanUnknown {
		return Treatment{kind: kindDrop, rule: UnknownKey}, true
	}
	j, seen := s.judged[key]
	if !seen {
		j = judged{s.e.unknown(key), s.keyTextOK(key)}
		if len(s.judged) >= maxJudged {
			clear(s.judged)
		}
		// What does not pass is not remembered either.
		if j.ok {
			s.judged[strings.Clone(key)] = j
		}
	}
	if !j.ok {
		s.count(KeyText, Drop)
	}
	return j.treatment, j.ok
}

// Holds reports whether table lets the key of the model hold a pseudonym.
func (e *Engine) Holds(table Table, key string) bool {
	return e.tables[table][key].kind == kindPseudonym
}

// Unknown returns the treatment of text that has no key of the model: bodies, names that a sender chose.
func (e *Engine) Unknown(rule Rule) Treatment {
	if !e.settings.ScanUnknown {
		return Treatment{kind: kindDrop, rule: rule}
	}
	return Treatment{kind: kindText}
}

// Library returns the treatment of an instrumentation scope's name and version.
func (e *Engine) Library() Treatment { return Treatment{kind: kindLabel} }

// Path returns the treatment of url.path, which names of spans get too.
func (e *Engine) Path() Treatment { return Treatment{kind: kindPath} }

// SchemaURL returns the treatment of a schema URL that is not OpenTelemetry's.
func (e *Engine) SchemaURL() Treatment {
	if !e.settings.ScanUnknown {
		return Treatment{kind: kindDrop, rule: UnknownValue}
	}
	return Treatment{kind: kindURL}
}

// credentialHeaders are headers that exist to carry a credential; their names say so less plainly than "x-token".
var credentialHeaders = map[string]bool{
	"authorization": true, "proxy-authorization": true, "authentication": true, "www-authenticate": true,
	"proxy-authenticate": true, "cookie": true, "set-cookie": true, "cookie2": true, "set-cookie2": true,
	"x-api-key": true, "api-key": true, "apikey": true, "x-auth-token": true, "x-access-token": true,
	"x-csrf-token": true, "x-xsrf-token": true, "x-amz-security-token": true, "x-goog-iap-jwt-assertion": true,
	"cf-access-jwt-assertion": true, "x-forwarded-access-token": true, "x-vault-token": true, "dpop": true,
	"x-amzn-oidc-data": true, "x-amzn-oidc-accesstoken": true, "x-amzn-oidc-identity": true, "authentication-info": true,
	"x-ms-client-principal": true, "x-forwarded-user": true, "x-remote-user": true, "remote-user": true, "from": true,
	"x-forwarded-email": true, "x-auth-request-email": true, "x-auth-request-user": true,
}

// wellKnown are keys outside the event model whose structure is known; they matter only where unknown keys are
// scanned.
var wellKnown = map[string]Treatment{
	"url.full": {kind: kindURL}, "http.url": {kind: kindURL}, "http.target": {kind: kindPath}, "url": {kind: kindURL},
	"url.original": {kind: kindURL}, "uri": {kind: kindPath}, "request_uri": {kind: kindPath}, "path": {kind: kindPath},
	"url.fragment": {kind: kindQuery}, "query": {kind: kindQuery}, "query_string": {kind: kindQuery},
	"http.user_agent": {kind: kindAgent}, "user_agent": {kind: kindAgent}, "referer": {kind: kindURL},
	"user.name": {kind: kindMask, rule: Person}, "user.full_name": {kind: kindMask, rule: Person},
	"enduser.id": {kind: kindDrop, rule: AttributeKey}, "enduser.name": {kind: kindMask, rule: Person},
	"enduser.pseudo.id": {kind: kindHash, rule: AttributeKey}, "user.roles": {kind: kindText},
	"client.socket.address": {kind: kindAddress}, "network.peer.address": {kind: kindAddress},
	"net.peer.ip": {kind: kindAddress}, "net.sock.peer.addr": {kind: kindAddress}, "http.client_ip": {kind: kindAddress},
	"process.command_line": {kind: kindDrop, rule: UnknownKey}, "process.command_args": {kind: kindDrop, rule: UnknownKey},
	"process.owner": {kind: kindMask, rule: Person}, "process.command": {kind: kindText},
	"exception.stacktrace": {kind: kindText}, "exception.message": {kind: kindText},
}

// unknown returns the treatment of a key that is not in the table of its map. A key of the event model on a resource or a
// scope holds what it holds elsewhere; its numbers and closed sets are not vouched for there.
func (e *Engine) unknown(key string) Treatment {
	if t, ok := e.tables[Record][key]; ok && t.kind != kindNumber && t.kind != kindEnum {
		return t
	}
	if t, ok := wellKnown[key]; ok {
		return t
	}
	if header, ok := headerName(key); ok {
		return e.header(header)
	}
	return e.byMeaning(key)
}

// NamesSecret reports whether the words of a key that is not the event model's say that its value is a credential.
func NamesSecret(key string) bool {
	if _, ok := event.KeyOf(key); ok {
		return false
	}
	name, ok := headerName(key)
	if !ok {
		name = strings.ToLower(key)
	}
	m := meaningOf(key)
	return m != meansKey && ruleOf(m) == Secret || credentialHeaders[name]
}

// NamesCard reports whether the words of a key say that its value is the number of a payment card.
func NamesCard(key string) bool { return meaningOf(key) == meansCard }

func headerName(key string) (string, bool) {
	for _, prefix := range [...]string{"http.request.header.", "http.response.header."} {
		if name, ok := strings.CutPrefix(key, prefix); ok {
			return strings.ReplaceAll(strings.ToLower(name), "_", "-"), true
		}
	}
	return "", false
}

func (e *Engine) header(name string) Treatment {
	if credentialHeaders[name] {
		return Treatment{kind: kindDrop, rule: Credential}
	}
	switch name {
	case "sec-websocket-key", "sec-websocket-accept":
		// A nonce of 16 bytes and its hash (RFC 6455 §4.1): no secret, and what joins hops.
		return Treatment{kind: kindNonce}
	case "sec-websocket-protocol":
		return Treatment{kind: kindSubprotocol}
	case "user-agent":
		return Treatment{kind: kindAgent}
	case "referer", "origin", "location", "content-location":
		return Treatment{kind: kindURL}
	}
	if m := meaningOf(name); m == meansKey {
		return Treatment{kind: kindMinted, rule: Secret}
	} else if ruleOf(m) != ruleNone {
		return Treatment{kind: kindDrop, rule: Credential}
	}
	return Treatment{kind: kindText}
}

// byMeaning judges a key by its words.
func (e *Engine) byMeaning(key string) Treatment {
	m := meaningOf(key)
	r := ruleOf(m)
	switch m {
	case meansVersion:
		return Treatment{kind: kindInfra}
	case meansKey:
		return Treatment{kind: kindMinted, rule: r}
	}
	if r == ruleNone {
		return Treatment{kind: kindText}
	}
	switch e.actions[r] {
	case Off:
		return Treatment{kind: kindText}
	case Hash:
		return Treatment{kind: kindHash, rule: r}
	case Partial:
		return Treatment{kind: kindPartial, rule: r}
	case Tokenise:
		return Treatment{kind: kindTokenise, rule: r}
	}
	return Treatment{kind: kindMask, rule: r}
}

// Nested returns the treatment of a member of a map whose own key deserves parent: below a masked or dropped key
// everything is, elsewhere the member's key decides. Not ok means that the member must go because of its key's text.
func (s *Scanner) Nested(parent Treatment, key string) (t Treatment, ok bool) {
	if !s.keyTextOK(key) {
		s.count(KeyText, Drop)
		return Treatment{}, false
	}
	switch parent.kind {
	case kindText, kindInfra, kindAgent:
		if t, ok := s.e.overrides[key]; ok {
			return t, true
		}
		if t, ok := s.e.tables[Record][key]; ok && t.kind != kindNumber && t.kind != kindEnum {
			return t, true
		}
		if t, ok := wellKnown[key]; ok {
			return t, true
		}
		if name, ok := headerName(key); ok {
			return s.e.header(name), true
		}
		if credentialHeaders[strings.ToLower(key)] {
			return Treatment{kind: kindDrop, rule: Credential}, true
		}
		if t := s.e.byMeaning(key); t.kind != kindText {
			return t, true
		}
	}
	return parent, true
}
