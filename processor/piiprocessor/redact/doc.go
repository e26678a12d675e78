// Package redact finds personal data and secrets in strings and removes them. It is the engine behind the pii
// processor and `sockeye redact`; it knows the event model's attribute keys but nothing of the collector.
//
// Two layers: a table says what an attribute key deserves ([Scanner.Key]), and [Scanner.String] applies that
// [Treatment] to the value. Free text goes through one pass over its bytes in which a few bytes (digits, "@", ":", "=",
// "eyJ", vendors' prefixes) start typed checks with validators: Luhn, mod-97, netip, the header of a JWT, the name of a
// key. Text that hides behind percent-, JSON- or full-width encoding is decoded when it looks as if it did, and the
// finds are mapped back.
//
// It does not recognise names of people in free text, and it is no substitute for not collecting something.
//
// The invariants to keep: what cannot be judged is dropped, never passed on (unknown keys, oversize, too deep,
// a panic); redacting twice changes nothing; no error, log or metric carries a value.
package redact
