package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/sockeye-project/sockeye/event"
)

func newAnnotateCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "annotate",
		Short: "Mark a deploy, or say that a time does not count",
		Args:  cobra.NoArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newAnnotateDeployCommand(), newAnnotateExclusionCommand())
	return cmd
}

type annotateDeployOptions struct {
	service, version, environment, region string
	at, endpoint, tokenFile               string
	timeout                               time.Duration
}

func newAnnotateDeployCommand() *cobra.Command {
	var o annotateDeployOptions
	cmd := &cobra.Command{
		Use:   "deploy",
		Short: "Mark a deploy of a service",
		Long: `Sends one websocket.deploy event to the HTTP push of a websocketlog receiver, from where it goes through pii into
the store like any other. It is sent again until it is acknowledged, and counts once. With --time, such as the time at
which your pipeline began, running the command again changes nothing.`,
		Example: `  sockeye annotate deploy --service chat --version 1.14.2
  sockeye annotate deploy --service chat --version "$TAG" --time "$PIPELINE_STARTED" \
    --endpoint https://collector:4319/v1/events`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cmd.SilenceUsage = true
			return o.run(cmd.Context(), cmd.OutOrStdout(), time.Now())
		},
	}
	f := cmd.Flags()
	f.StringVar(&o.service, "service", "", "service.name of the `SERVICE` (required)")
	f.StringVar(&o.version, "version", "", "the `VERSION` that was deployed (required)")
	f.StringVar(&o.environment, "environment", "", "deployment `ENVIRONMENT`, such as production")
	f.StringVar(&o.region, "region", "", "`REGION` that it was deployed to; all, if none is given")
	f.StringVar(&o.at, "time", "", "when, as `RFC3339`; now, if none is given")
	f.StringVar(&o.endpoint, "endpoint", "http://127.0.0.1:4319/v1/events", "`URL` of the receiver's HTTP push")
	f.StringVar(&o.tokenFile, "token-file", "", "`FILE` with a bearer token, if the receiver wants one")
	f.DurationVar(&o.timeout, "timeout", 30*time.Second, "how long to try")
	return cmd
}

func (o *annotateDeployOptions) event(now time.Time) (*event.Event, error) {
	var faults []error
	if o.service == "" {
		faults = append(faults, errors.New("--service: name the service"))
	}
	if o.version == "" {
		faults = append(faults, errors.New("--version: name the version"))
	}
	e := &event.Event{Name: event.Deploy, Time: now}
	if o.at != "" {
		at, err := time.Parse(time.RFC3339Nano, o.at)
		switch {
		case err != nil:
			faults = append(faults, fmt.Errorf("--time: must be like 2026-11-20T12:00:00Z, got %q", o.at))
		case at.After(now.Add(time.Minute)):
			faults = append(faults, errors.New("--time: is in the future"))
		}
		e.Time = at
	}
	if len(faults) > 0 {
		return nil, errors.Join(faults...)
	}
	resource := []event.Named{{Name: event.ServiceName, Value: event.String(o.service)}}
	for name, value := range map[string]string{event.Environment: o.environment, event.Region: o.region} {
		if value != "" {
			resource = append(resource, event.Named{Name: name, Value: event.String(value)})
		}
	}
	e.Resource = event.NewResource(resource...)
	e.SetString(event.DeployVersion, o.version)
	e.SetString(event.Vantage, event.VantageApp)
	e.SetString(event.SourceVisibility, event.VisibilityAtOpen)
	e.SetString(event.SourceType, "annotate")
	e.SetString(event.SourceEvidence, event.EvidenceObserved)
	e.SetString(event.NetworkProtocolName, "websocket")
	return e, e.Validate()
}

// pushPause is how long to wait before a push is sent again where the receiver does not say.
const pushPause = 500 * time.Millisecond

func (o *annotateDeployOptions) run(ctx context.Context, out io.Writer, now time.Time) error {
	e, err := o.event(now)
	if err != nil {
		return err
	}
	token := ""
	if o.tokenFile != "" {
		text, err := os.ReadFile(o.tokenFile)
		if err != nil {
			return fmt.Errorf("--token-file: %w", err)
		}
		token = strings.TrimSpace(string(text))
	}
	body := append(e.AppendJSON(nil), '\n')
	sum := sha256.Sum256(body)
	ctx, cancel := context.WithTimeout(ctx, o.timeout)
	defer cancel()
	client := &http.Client{Transport: &http.Transport{Proxy: http.ProxyFromEnvironment}}
	defer client.CloseIdleConnections()
	for {
		// The key follows from the body: an attempt whose answer was lost and the next are one.
		again, err := pushOnce(ctx, client, o.endpoint, token, "annotate-"+hex.EncodeToString(sum[:16]), body)
		if err == nil {
			fmt.Fprintf(out, "marked: deploy of %s %s at %s\n", o.service, o.version, e.Time.UTC().Format(time.RFC3339))
			return nil
		}
		if !again {
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("not acknowledged within %v; it is safe to run this again with --time %s: %w", o.timeout,
				e.Time.UTC().Format(time.RFC3339Nano), err)
		case <-time.After(pushPause):
		}
	}
}

// pushOnce posts the body. again says whether sending the same once more may help.
func pushOnce(
	ctx context.Context, client *http.Client, endpoint, token, key string, body []byte,
) (again bool, err error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, endpoint, bytes.NewReader(body))
	if err != nil {
		return false, errors.New("--endpoint: is not a URL like http://127.0.0.1:4319/v1/events")
	}
	request.Header.Set("Content-Type", "application/x-ndjson")
	request.Header.Set("Idempotency-Key", key)
	if token != "" {
		request.Header.Set("Authorization", "Bearer "+token)
	}
	response, err := client.Do(request)
	if err != nil {
		return true, fmt.Errorf("push: %w", err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(io.LimitReader(response.Body, 1<<16))
	switch {
	case err != nil, response.StatusCode == http.StatusTooManyRequests,
		response.StatusCode == http.StatusServiceUnavailable:
		return true, fmt.Errorf("push: %s", response.Status)
	case response.StatusCode != http.StatusOK:
		return false, fmt.Errorf("push: %s: is --endpoint the HTTP push of a websocketlog receiver with format ndjson?",
			response.Status)
	}
	var stored struct{ Events int }
	if json.Unmarshal(text, &stored) != nil || stored.Events != 1 {
		return false, errors.New("push: the answer is not that of a websocketlog receiver; look at --endpoint")
	}
	return false, nil
}
