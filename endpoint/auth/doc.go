// Package auth says who a client is: it takes the credential out of a WebSocket handshake or a first message and verifies it.
// A JWT, a single-use ticket, a client certificate, a cookie or anything of the user's own is an [Authenticator].
//
// It upgrades no connection, limits no rates and writes no logs or events: package endpoint does. A [Failure] is what an
// event needs to know of a refusal, and who has to act: a bad token is the client's fault, an identity provider that does
// not answer is not.
//
// What a maintainer keeps: no token, claim, name or address is ever in an error. What is not verified is never used, and
// what cannot be decided is refused. Whatever is remembered has a bound and an end.
package auth
