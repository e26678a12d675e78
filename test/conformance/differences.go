package conformance

// Difference is a verdict in which wire and another implementation differ, found by fuzzing both with the same bytes. What
// is not listed fails the test.
type Difference struct {
	// Name identifies it.
	Name string
	// Peer is the other implementation: gorilla, coder, or both.
	Peer string
	// Right is who does what the section asks: wire, the peer, or both where it leaves the choice.
	Right string
	// Section decides it.
	Section string
	// Text says what differs.
	Text string
}

// Differences returns the table.
func Differences() []Difference { return differences }

var differences = []Difference{
	{"text-not-checked", "both", "wire", "RFC 6455 §8.1", "The peer hands text on that is no UTF-8, and leaves the check to its user."},
	{"non-minimal-length", "both", "wire", "RFC 6455 §5.2", "The peer takes a length that is not in its shortest form."},
	{"early-refusal", "both", "both", "RFC 6455 §7.1.7", "The peer refuses what is not complete: a frame by its first bytes, or compressed data before its message ends. wire waits for the whole header and inflates whole messages, so it may answer a control frame first."},
	{"close-of-one-byte", "gorilla", "wire", "RFC 6455 §5.5.1", "gorilla takes a Close whose payload is one byte for one without a code."},
	{"close-reason-not-checked", "coder", "wire", "RFC 6455 §5.5.1", "coder takes a reason that is no UTF-8."},
	{"behind-a-last-block", "both", "wire", "RFC 7692 §7.2.3.4", "For the peer a compressed message ends with the first block that says it is the last: what comes behind it, even in frames to come, is ignored."},
	{"deflate-without-end", "coder", "wire", "RFC 7692 §7.2.2", "coder hands on what a compressed message gave before its data broke off."},
	{"close-code-1014", "gorilla", "wire", "RFC 6455 §11.7", "gorilla refuses 1014, which IANA has registered since the standard."},
	{"rsv1-on-any-frame", "gorilla", "wire", "RFC 7692 §6.1", "With compression gorilla takes RSV1 on control frames and continuations, where it has no meaning."},
	{"masked-server-frame", "coder", "wire", "RFC 6455 §5.1", "A client of coder takes masked frames from a server."},
}
