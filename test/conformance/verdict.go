package conformance

import (
	"bytes"
	"slices"
)

// Verdict is what the rules of the Autobahn test suite make of what came of a case.
type Verdict string

// The verdicts, named as Autobahn names them. Those behind Failed are of the end of a connection alone.
const (
	OK             Verdict = "OK"
	NonStrict      Verdict = "NON-STRICT"
	Informational  Verdict = "INFORMATIONAL"
	Unimplemented  Verdict = "UNIMPLEMENTED"
	Failed         Verdict = "FAILED"
	Unclean        Verdict = "UNCLEAN"
	WrongCode      Verdict = "WRONG CODE"
	FailedByClient Verdict = "FAILED BY CLIENT"
)

// Expected is the verdict that the echo server must earn.
func (c Case) Expected() Verdict {
	if c.Informational {
		return Informational
	}
	return OK
}

// Outcome is what a client saw of a case.
type Outcome struct {
	// Step is the last part of the script that was sent. Those before it were answered as they should, or were a Fault that
	// the server did not answer in time.
	Step *Script
	// Late says that there was such a Fault.
	Late bool
	// Received are the messages, Pings and Pongs that came since.
	Received []Message
	// Declined says that the server did not take the extension that was offered.
	Declined bool
	// ClosedByClient says that the client's Close came first. Clean says that Close frames went both ways and that the
	// server then ended TCP; DroppedByClient, that it did not and the client had to.
	ClosedByClient, Clean, DroppedByClient bool
	// Close is the server's Close frame, and Code its code; 0 is none.
	Close *Message
	Code  int
}

// answers are what the server must send for s.
func (s Script) answers() []Message {
	var list []Message
	for _, m := range s.Want {
		switch m.Op {
		case opPing:
			list = append(list, Message{opPong, m.Payload})
		case opText, opBinary:
			list = append(list, m)
		}
	}
	return list
}

func sameMessages(a, b []Message) bool {
	return slices.EqualFunc(a, b, func(a, b Message) bool { return a.Op == b.Op && bytes.Equal(a.Payload, b.Payload) })
}

// Judge returns the verdict on what was received, and that on how the connection ended.
func (c Case) Judge(o Outcome) (behavior, end Verdict) {
	s := o.Step
	switch fault := s.Fault != 0; {
	case c.Informational:
		return Informational, Informational
	case o.Declined:
		behavior = Unimplemented
	case !fault && s.Then != nil: // more was to be sent
		behavior = Failed
	case sameMessages(o.Received, s.answers()):
		if behavior = OK; o.Late {
			behavior = NonStrict
		}
	case fault && len(o.Received) == 0: // the connection failed before what came first was answered
		behavior = NonStrict
	default:
		behavior = Failed
	}
	switch {
	case o.ClosedByClient != (s.Fault == 0 || s.closes()):
		end = Failed
	case s.Fault == 0 && !o.Clean:
		end = Unclean
	case o.Code != 0 && !slices.Contains(s.codes(), o.Code):
		end = WrongCode
	case o.DroppedByClient:
		end = FailedByClient
	default:
		return behavior, OK
	}
	if s.closes() && end == WrongCode { // the code is what such a case is about
		behavior = Failed
	}
	return behavior, end
}

// codes are those that the server's Close may have.
func (s Script) codes() []int {
	switch {
	case s.Fault != 0 && s.closes(): // Autobahn lets a bad reason be either error
		return []int{s.Code, 1002}
	case s.Fault != 0:
		return []int{s.Code}
	}
	codes := []int{1000}
	for _, m := range s.Want {
		if m.Op == opClose && len(m.Payload) >= 2 {
			codes = append(codes, int(m.Payload[0])<<8|int(m.Payload[1]))
		}
	}
	return codes
}
