// Package conformance holds wire against its standards, RFC 6455, RFC 7692 and RFC 8441, over a real socket and with the
// reader alone.
//
// [Requirements] has a row for every MUST and SHOULD. A row names the cases of [Cases] and [Handshakes], or the test, that
// check it; docs/conformance.md is written from these tables. Frames are built, and the answers read, by a few lines here
// that know nothing of wire.
//
// It is no replacement for the Autobahn test suite, whose groups the numbers of cases follow: see autobahn/README.md.
package conformance
