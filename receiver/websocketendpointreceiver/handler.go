package websocketendpointreceiver

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/sockeye-project/sockeye/endpoint"
)

// handler serves a connection whose messages are within the limits.
type handler func(context.Context, *endpoint.Session) error

// handlers are the values of the key handler.
var handlers = map[string]handler{"discard": discard, "echo": echo}

func handlerNames() string { return strings.Join(slices.Sorted(maps.Keys(handlers)), " or ") }

func handlerOf(name string) (handler, error) {
	h, ok := handlers[name]
	if !ok {
		return nil, fmt.Errorf("must be %s, got %q", handlerNames(), name)
	}
	return h, nil
}

// discard reads messages and answers none.
func discard(_ context.Context, s *endpoint.Session) error {
	for _, err := range s.Messages() {
		if err != nil {
			return err
		}
	}
	return nil
}

// echo sends every message back.
func echo(_ context.Context, s *endpoint.Session) error {
	for m, err := range s.Messages() {
		if err != nil {
			return err
		}
		if err := s.Send(m.Opcode, m.Payload); err != nil {
			return err
		}
	}
	return nil
}
