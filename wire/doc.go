// Package wire is the WebSocket protocol between the transport and its user: frames and messages (RFC 6455 §5 to §8),
// permessage-deflate (RFC 7692) and the handshake (RFC 6455 §4, RFC 8441). It is strict, and every limit has a default.
//
// It opens no connection, reads no clock but for the budget of control frames, starts no goroutine and decides no
// policy: it is given bytes and returns what they mean, or the [Violation] that they are.
//
// # What an endpoint does
//
// It waits until the connection is readable, takes a buffer, reads into it, and calls [MessageReader.Next] until that
// has no more. A message that came in one piece lies in the buffer itself, unmasked in place; only what is unfinished
// is copied, into a buffer that grows with the bytes received, never with those announced. Replies are appended to one
// slice by a [Writer] and written at once:
//
//	for {
//		m, in, err = r.Next(in)
//		if err != nil || !m.Ready() {
//			break
//		}
//		out = w.AppendMessage(out, m.Opcode, m.Payload)
//	}
//
// An error is a [Violation]. [Writer.AppendViolation] says it to the peer with the close code that the standard asks for.
//
// # The handshake
//
// [CheckRequest] holds a request against the standard and returns what the client offers, [Origins] says whether its page
// may connect, [ChooseSubprotocol] and [ChooseDeflate] choose, [AppendResponse] writes the 101 and
// [HandshakeViolation.Refuse] a refusal. A client writes with [AppendRequest] and checks with [CheckResponse]. Requests
// come from net/http, or from [ParseRequest], which a tap gives the bytes of a head.
//
// # What a tap does
//
// It has one reader for each direction, and gives it what it captured in any pieces. It copies first, since bytes are
// unmasked in place. [MessageReader] checks as an endpoint would. Where that refuses, [MessageReader.Frames] still
// knows the frames, so that the Close frame behind a violation is seen. After a gap in the capture a direction is lost:
// nothing in the bytes says where a frame begins.
//
// # What a maintainer keeps
//
// The reader gives the same events for any split of the input. Between messages it holds no buffer, but for the
// history that context takeover needs. It allocates nothing for a frame. No error has a byte of payload in it.
package wire
