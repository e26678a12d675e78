// Package content says what messages on an endpoint may hold: which types there are, in which versions, by which JSON Schema,
// and who may send them. A directory with a manifest and schemas makes a [Policy]; a [Guard] holds it against messages:
//
//	guard, err := content.New(content.Settings{Directory: "content"})
//	…
//	e, err := endpoint.New(endpoint.Config{Validate: guard.Validate, …})
//
// docs/content.md describes the manifest. [Compare] says whether a new policy refuses what an old one accepted.
//
// The package does not change messages, fetches nothing, and never quotes a message: an error says which entry of the
// manifest refused, not what was in the message.
//
// # What a maintainer keeps
//
// A message costs a bounded time and memory. It is scanned once into tokens, without being decoded, and refused where two
// parsers could read it in different ways. Schemas are run over the tokens as programs, within a budget of steps; the
// library that compiled them validates only what programs do not have, and only schemas whose cost is bounded by
// themselves. Programs must say what the library says: it is the oracle of the tests.
package content
