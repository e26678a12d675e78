// Command sloth prints the rules that Sloth's library writes for the indicator connection-availability, so that tests can compare
// what fires. It is a module of its own, because Sloth needs another version of Prometheus than the product does.
//
//	go run . > ../testdata/sloth.rules.yaml
package main

import (
	"context"
	"fmt"
	"os"

	sloth "github.com/slok/sloth/pkg/lib"
)

const spec = `
version: prometheus/v1
service: chat
slos:
  - name: connection-availability
    objective: 99.9
    sli:
      events:
        error_query: sum(increase(websocket_events_total{service_name="chat",websocket_vantage="edge",event_name="websocket.handshake.rejected",websocket_fault=~"idp|network|server"}[{{.window}}]))
        total_query: sum(increase(websocket_events_total{service_name="chat",websocket_vantage="edge",event_name=~"websocket.open|websocket.handshake.rejected",websocket_fault=~"|idp|network|server"}[{{.window}}]))
    alerting:
      name: ErrorBudgetBurn
      page_alert: {}
      ticket_alert: {}
`

func main() {
	if err := run(context.Background()); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	generator, err := sloth.NewPrometheusSLOGenerator(sloth.PrometheusSLOGeneratorConfig{})
	if err != nil {
		return err
	}
	result, err := generator.GenerateFromRaw(ctx, []byte(spec))
	if err != nil {
		return err
	}
	return generator.WriteResultAsPrometheusStd(ctx, *result, os.Stdout)
}
