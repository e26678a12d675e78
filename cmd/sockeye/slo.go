package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/sockeye-project/sockeye/slo"
	"github.com/sockeye-project/sockeye/store"
)

func newSLOCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "slo",
		Short: "Check SLO documents; show how SLOs stand",
		Args:  cobra.NoArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newSLOValidateCommand(), newSLOStatusCommand(), newSLOHistoryCommand(), newSLOExplainCommand(),
		newSLOIncidentsCommand())
	return cmd
}

func newSLOValidateCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "validate FILE...",
		Short: "Check OpenSLO documents; every fault with file, line and column",
		Long: `Reads OpenSLO v1 documents as the engine does, all files together, so that one may refer to another. Faults go to
stderr as FILE:LINE:COLUMN: KEY: WHAT, all of them at once; the exit status is then 1.`,
		Example: `  sockeye slo validate slo/*.yaml`,
		Args:    cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, files []string) error {
			cmd.SilenceUsage = true
			slos, err := loadSLOs(cmd, files)
			if err != nil {
				return err
			}
			for i := range slos {
				fmt.Fprintln(cmd.OutOrStdout(), slos[i].Summary())
			}
			count := fmt.Sprintf("%d SLOs", len(slos))
			if len(slos) == 1 {
				count = "1 SLO"
			}
			fmt.Fprintf(cmd.OutOrStdout(), "%s, no faults\n", count)
			return nil
		},
	}
}

// loadSLOs reads documents, and says every fault on stderr.
func loadSLOs(cmd *cobra.Command, files []string) ([]slo.SLO, error) {
	slos, err := slo.Load(files...)
	if err == nil {
		return slos, nil
	}
	fmt.Fprintln(cmd.ErrOrStderr(), err)
	var faults slo.Faults
	if errors.As(err, &faults) && len(faults) == 1 {
		return nil, errors.New("1 fault")
	} else if len(faults) > 1 {
		return nil, fmt.Errorf("%d faults", len(faults))
	}
	return nil, errors.New("the documents cannot be used")
}

type sloStatusOptions struct {
	endpoint, clickhouse, output, service string
}

func newSLOStatusCommand() *cobra.Command {
	var o sloStatusOptions
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Show how the SLOs stand: state, budget left, burn rates, coverage",
		Long: `Asks a running engine, or with --clickhouse the store, for the last status of every SLO. Burn rates are how many
times faster than sustainable the budget is spent, over each window; "-" is where there was nothing to judge.`,
		Example: `  sockeye slo status
  sockeye slo status --endpoint http://127.0.0.1:8124 --output json
  sockeye slo status --clickhouse http://127.0.0.1:8123/sockeye`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cmd.SilenceUsage = true
			return o.run(cmd.Context(), cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
	f := cmd.Flags()
	f.StringVar(&o.endpoint, "endpoint", "http://127.0.0.1:9466",
		"`ADDRESS` of the engine's API (http of the slo extension)")
	f.StringVar(&o.clickhouse, "clickhouse", "", "read slo_status from the store at this `DSN` instead")
	f.StringVarP(&o.output, "output", "o", "table", "`table or json`")
	f.StringVar(&o.service, "service", "", "only SLOs of this `SERVICE`")
	cmd.MarkFlagsMutuallyExclusive("endpoint", "clickhouse")
	return cmd
}

// sloReport is what an engine answers.
type sloReport struct {
	Trouble string       `json:"trouble,omitempty"`
	SLOs    []slo.Status `json:"slos"`
}

func (o *sloStatusOptions) run(ctx context.Context, stdout, stderr io.Writer) error {
	if o.output != "table" && o.output != "json" {
		return fmt.Errorf("--output: must be table or json, got %q", o.output)
	}
	ask := o.askEngine
	if o.clickhouse != "" {
		ask = o.askStore
	}
	report, err := ask(ctx)
	if err != nil {
		return err
	}
	if o.service != "" {
		report.SLOs = slices.DeleteFunc(report.SLOs, func(s slo.Status) bool { return s.Service != o.service })
	}
	if report.Trouble != "" {
		fmt.Fprintf(stderr, "the engine is in trouble: %s\n", report.Trouble)
	}
	if o.output == "json" {
		if report.SLOs == nil {
			report.SLOs = []slo.Status{}
		}
		return writeJSON(stdout, report)
	}
	return slo.WriteTable(stdout, report.SLOs)
}

func (o *sloStatusOptions) askEngine(ctx context.Context) (sloReport, error) {
	var report sloReport
	err := askSLOEngine(ctx, o.endpoint, "api/v1/slos", nil, &report)
	return report, err
}

// askSLOEngine gets a page of an engine's API.
func askSLOEngine(ctx context.Context, endpoint, page string, query url.Values, into any) error {
	base, err := url.Parse(endpoint)
	if err != nil || base.Host == "" {
		return errors.New("--endpoint: write it like http://127.0.0.1:9466")
	}
	address := base.JoinPath(page)
	address.RawQuery = query.Encode()
	ctx, cancel := context.WithTimeout(ctx, 40*time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address.String(), nil)
	if err != nil {
		return errors.New("--endpoint: write it like http://127.0.0.1:9466")
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	response, err := client.Do(request)
	if err != nil {
		var op *net.OpError
		if errors.As(err, &op) {
			err = op.Err
		}
		return fmt.Errorf("no engine answers at %s: %w; is the collector with the slo extension running, and is "+
			"this its http.endpoint?", base.Host, err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, 64<<20))
	var refused struct{ Error string }
	if err == nil && response.StatusCode != http.StatusOK && json.Unmarshal(body, &refused) == nil && refused.Error != "" {
		return errors.New(refused.Error)
	}
	if err != nil || response.StatusCode != http.StatusOK || json.Unmarshal(body, into) != nil {
		return fmt.Errorf("%s answers, but not like an SLO engine (status %d); is this its http.endpoint?", base.Host,
			response.StatusCode)
	}
	return nil
}

// askStore reads what engines wrote within the last day.
func (o *sloStatusOptions) askStore(ctx context.Context) (sloReport, error) {
	var report sloReport
	s, err := store.Open(ctx, o.clickhouse, store.Options{KeepDatabase: true, Client: "sockeye-slo", MaxConnections: 1})
	if err != nil {
		return report, err
	}
	defer s.Close()
	rows, err := s.Conn().Query(ctx, slo.SelectLatest(time.Now().Add(-24*time.Hour)))
	if err != nil {
		return report, s.Explain(err)
	}
	defer rows.Close()
	records, err := slo.ReadRecords(rows)
	if err != nil {
		return report, s.Explain(err)
	}
	for _, r := range records {
		report.SLOs = append(report.SLOs, r.Status)
	}
	if len(records) == 0 {
		return report, errors.New("no engine has written a status within the last day; is the slo extension running?")
	}
	return report, nil
}
