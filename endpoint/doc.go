// Package endpoint is a hardened WebSocket server for Go programs: an http.Handler that authenticates, upgrades, limits,
// hands messages to a function, and tells what it did as events of package event.
//
//	e, err := endpoint.New(endpoint.Config{
//		Authenticator: tokens,
//		Handle: func(ctx context.Context, s *endpoint.Session) error {
//			for m, err := range s.Messages() {
//				if err != nil {
//					return err
//				}
//				if err := s.Send(m.Opcode, m.Payload); err != nil {
//					return err
//				}
//			}
//			return nil
//		},
//	})
//
// Handle runs in the connection's goroutine, straight on. While it waits in [Session.Messages] the connection holds no
// buffer, no timer and no second goroutine. What it sends leaves in one write once the input is used up.
//
// The package does not know what messages mean, stores nothing, and reaches no other server but through the
// Authenticator. Who a client is, is decided in [github.com/sockeye-project/sockeye/endpoint/auth]; frames and handshakes
// are those of [github.com/sockeye-project/sockeye/wire].
//
// [Endpoint.Admin] serves operators: they list, inspect and close connections, revoke, and block by [Config.Blocks].
//
// # What a maintainer keeps
//
// Nothing is unbounded: every table, queue and wait has a limit in [Config]. A connection has one [ending], decided once,
// by whoever is first. All deadlines are watched by one goroutine for all connections, see sweep.go. No token, payload or
// name of a user is in an event, an error, a log or what operators see; an address is in events only, for the pii processor
// to cut.
package endpoint
