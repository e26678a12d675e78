package endpoint_test

import (
	"context"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sockeye-project/sockeye/endpoint"
	"github.com/sockeye-project/sockeye/endpoint/auth"
	"github.com/sockeye-project/sockeye/event"
	"github.com/sockeye-project/sockeye/wire"
)

// readme is what the README shows, compiled. What it does is run by Example.
func readme(tokens auth.Authenticator, origins wire.Origins) error {
	e, err := endpoint.New(endpoint.Config{
		Authenticator: tokens,  // package endpoint/auth: JWT with JWKS, tickets, client certificates, or your own
		Origins:       origins, // wire.ParseOrigins("https://app.example.com"); pages of the same origin by default
		Handle: func(ctx context.Context, s *endpoint.Session) error {
			for m, err := range s.Messages() {
				if err != nil {
					return err
				}
				if err := s.Send(m.Opcode, append([]byte(s.Identity().Subject+" said "), m.Payload...)); err != nil {
					return err
				}
			}
			return nil
		},
		Observer: endpoint.ObserverFunc(func(e *event.Event) { fmt.Println(e.Name) }),
	})
	if err != nil {
		return err
	}
	server, err := e.Server(endpoint.ServerSettings{CertFile: "tls.crt", KeyFile: "tls.key"})
	if err != nil {
		return err
	}
	return server.ListenAndServe(":8443")
}

func TestTheREADMEShowsTwentyLinesThatCompile(t *testing.T) {
	t.Parallel()
	var _ = readme
	between := func(file, begin, end string) string {
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		_, rest, ok := strings.Cut(string(text), begin)
		require.True(t, ok, begin)
		inner, _, ok := strings.Cut(rest, end)
		require.True(t, ok, end)
		return inner
	}
	const first, last = "e, err := endpoint.New(endpoint.Config{\n", "server.ListenAndServe(\":8443\")\n"
	source := between("readme_test.go", "error {\n\t"+first, last)
	source = strings.ReplaceAll(source, "\n\tif err != nil {\n\t\treturn err\n\t}\n", "\n\t// check err\n")
	shown := between("../README.md", "    "+first, last)
	require.Equal(t, strings.ReplaceAll(source, "\t", "    "), shown)
	require.LessOrEqual(t, strings.Count(first+shown+last, "\n"), 20)
}
