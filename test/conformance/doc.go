// Package conformance holds wire against its standards, RFC 6455, RFC 7692, RFC 8441 and RFC 9220, over a real socket and with the
// reader alone.
//
// [Requirements] has a row for every MUST and SHOULD. A row names the cases of [Cases] and [Handshakes], or the test, that
// check it; docs/conformance.md is written from these tables. Frames are built, and the answers read, by a few lines here
// that know nothing of wire.
//
// Cases with a number alone are those of the Autobahn test suite, judged by its rules ([Case.Judge]); autobahn/README.md
// says how to run the suite itself. SOCKEYE_CONFORMANCE=full sends all messages of groups 12 and 13.
package conformance
