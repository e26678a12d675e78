package conformance

import "slices"

// Level is how strongly the standard asks (RFC 2119).
type Level string

// The levels. RFC 6455 §2 asks of whoever conforms to keep to all that is MUST, and to SHOULD unless there is a reason.
const (
	must      Level = "MUST"
	mustNot   Level = "MUST NOT"
	should    Level = "SHOULD"
	shouldNot Level = "SHOULD NOT"
)

// Requirement is a sentence of a standard that asks something of an endpoint, in our words. One that says how something is
// done, without any of these words, counts as MUST.
type Requirement struct {
	// ID is the standard, the section and a number: "6455-5.1-2".
	ID    string
	Level Level
	Text  string
	// Checks are the cases and tests that check it, separated by spaces: the id of a case, a group of cases such as "7.9.*",
	// or the name of a test, which is in this package or, as wire.TestName, in wire.
	Checks string
	// NotOurs says why nothing here checks it: who keeps to it instead.
	NotOurs string
}

// What is asked of others than a library for endpoints.
const (
	ofDialers = "whoever dials: wire opens no connection"
	ofServers = "the HTTP server that listens: wire opens no connection"
	ofTLS     = "crypto/tls and whoever configures it"
	ofProxies = "intermediaries: wire is none"
	ofBrowser = "browsers"
	ofApps    = "the application"
	ofIANA    = "whoever registers names or writes further standards"
	ofOthers  = "extensions that wire does not have"
)

// Requirements returns all of them, in the order of the standards.
func Requirements() []Requirement {
	return slices.Concat(requirements6455, requirements7692, requirements8441)
}
