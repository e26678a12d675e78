// Package auth says who a client is: it takes the credential out of a WebSocket handshake or a first message and verifies it.
// Signed tokens ([JWT]), single-use tickets ([Tickets]), client certificates ([Certificates]), cookies ([Sessions]), keys of
// programs ([APIKeys]) and anything of the user's own are an [Authenticator]; a [Chain] is several.
//
// It upgrades no connection, limits no rates and writes no logs or events: package endpoint does. A [Failure] is what an
// event needs to know of a refusal, and who has to act: a bad token is the client's fault, an identity provider that does
// not answer is not.
//
// # What a token must be
//
// Signed by a key that is configured, with an algorithm that is; the key says which algorithms it is for, so a public key
// is never a secret and "none" is no algorithm. A token brings no key and names no place to fetch one. It has an issuer,
// an audience, an end and a subject, each member once, and is in its only spelling. [RemoteKeys] fetches the issuer's keys
// from one URL, follows their rotation, and does without the provider for a while.
//
// # What a browser can do
//
// A page cannot set Authorization for a WebSocket. It can offer a token among the subprotocols, send it in the first message,
// or get a ticket over HTTPS and show that in the URL. Its cookies count only with an Origin that was checked. A token in the
// URL is refused unless asked for.
//
// # How it ends
//
// An [Identity] says when its credential ends, and [Revocations] end it before that, for newcomers and for who is connected.
//
// # What a maintainer keeps
//
// No token, claim, name or address is ever in an error. What is not verified is never used, and what cannot be decided is
// refused. Whatever is remembered has a bound and an end.
package auth
