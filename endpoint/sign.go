package endpoint

import (
	"errors"

	"github.com/sockeye-project/sockeye/endpoint/auth"
	"github.com/sockeye-project/sockeye/event"
	"github.com/sockeye-project/sockeye/wire"
)

// minMessageSecret is what auth.SessionSecret wants at least.
const minMessageSecret = 32

// signing are the keys of a connection whose messages are signed.
type signing struct {
	verify *auth.MessageKey // of the reading goroutine
	sign   *auth.MessageKey // of whoever has the connection's lock
}

var errUnsigned = errors.New("send: messages must be signed, and the client has not said yet who it is")

// startSigning makes the keys of id's connection and tells the client the session, in the first message, which alone is not
// signed. Whatever is sent comes behind it.
func (s *Session) startSigning(id auth.Identity) error {
	if s.e.config.MessageSecret == nil {
		return nil
	}
	secret, err := auth.SessionSecret(s.e.config.MessageSecret(id), s.ID())
	if err != nil {
		return err
	}
	var keys signing
	if keys.verify, err = auth.NewMessageKey(secret, wire.Client); err != nil {
		return err
	}
	if keys.sign, err = auth.NewMessageKey(secret, wire.Server); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closing {
		return nil
	}
	s.append(s.takeQueue(), wire.OpText, []byte(`{"session":"`+s.ID()+`"}`))
	s.signing = &keys
	return nil
}

// verified takes the signature off the message, or ends the connection.
func (s *Session) verified() bool {
	payload, err := s.signing.verify.Verify(s.message.Opcode, s.message.Payload)
	if err != nil {
		f := auth.FailureOf(err)
		s.reject(s.message, &Rejection{Type: event.SignatureInvalid})
		s.begin(reason{code: f.CloseCode(), text: f.Reason(), cause: f})
		return false
	}
	s.message.Payload = payload
	return true
}
