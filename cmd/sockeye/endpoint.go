package main

import (
	"bytes"
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/sockeye-project/sockeye/endpoint"
)

const defaultAdmin = "http://127.0.0.1:8444"

// adminFlags say where operators are served.
type adminFlags struct {
	url, cert, key, ca, output string
	timeout                    time.Duration
}

func newEndpointCommand() *cobra.Command {
	a := &adminFlags{}
	cmd := &cobra.Command{
		Use:   "endpoint",
		Short: "See and close connections of a running endpoint; revoke, block",
		Long: `Asks the operators' side of a running endpoint: admin of the websocketendpoint receiver, or endpoint.Admin of the
library. Users are named by the user.hash of events, addresses by their network. What is changed is told as an event
websocket.policy.changed.`,
		Example: `  sockeye endpoint connections --address 203.0.113.0/24
  sockeye endpoint block --address 203.0.113.0/24 --reason flood --for 30m
  sockeye endpoint close --tenant acme --code 1012
  sockeye endpoint revoke --subject ann --tenant acme`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	f := cmd.PersistentFlags()
	f.StringVar(&a.url, "admin", defaultAdmin, "`URL` of the operators' side")
	f.StringVar(&a.cert, "cert", "", "the operator's certificate, a PEM `FILE`, where one is needed")
	f.StringVar(&a.key, "key", "", "its key, a PEM `FILE`")
	f.StringVar(&a.ca, "ca", "", "authorities of the server's certificate, a PEM `FILE`, instead of the system's")
	f.DurationVar(&a.timeout, "timeout", 30*time.Second, "how long to wait for an answer")
	cmd.AddCommand(newConnectionsCommand(a), newInspectCommand(a), newCloseCommand(a), newRevokeCommand(a),
		newBlockCommand(a), newUnblockCommand(a), newBlocksCommand(a))
	return cmd
}

// subcommand is a command that asks.
func (a *adminFlags) subcommand(use, short, example string, args cobra.PositionalArgs,
	f func(cmd *cobra.Command, args []string) error,
) *cobra.Command {
	return &cobra.Command{
		Use: use, Short: short, Example: example, Args: args,
		RunE: func(cmd *cobra.Command, args []string) error {
			cmd.SilenceUsage = true
			if a.output != "" && a.output != "table" && a.output != "json" {
				return fmt.Errorf("--output: must be table or json, got %q", a.output)
			}
			return f(cmd, args)
		},
	}
}

func (a *adminFlags) printing(cmd *cobra.Command) *cobra.Command {
	cmd.Flags().StringVarP(&a.output, "output", "o", "table", "`table or json`")
	return cmd
}

// filterFlags select connections.
type filterFlags struct{ userHash, tenant, address, path, subprotocol string }

func (f *filterFlags) add(cmd *cobra.Command) *cobra.Command {
	flags := cmd.Flags()
	flags.StringVar(&f.userHash, "user-hash", "", "only those of the user with this `HASH`")
	flags.StringVar(&f.tenant, "tenant", "", "only those of this `TENANT`")
	flags.StringVar(&f.address, "address", "", "only those from this `ADDRESS` or network")
	flags.StringVar(&f.path, "path", "", "only those with this `PATH`")
	flags.StringVar(&f.subprotocol, "subprotocol", "", "only those with this `SUBPROTOCOL`")
	return cmd
}

// set returns those that are given.
func (f *filterFlags) set() map[string]string {
	return given(map[string]string{
		"user_hash": f.userHash, "tenant": f.tenant, "address": f.address, "path": f.path, "subprotocol": f.subprotocol,
	})
}

func given(all map[string]string) map[string]string {
	for name, value := range all {
		if value == "" {
			delete(all, name)
		}
	}
	return all
}

func newConnectionsCommand(a *adminFlags) *cobra.Command {
	var filter filterFlags
	var limit int
	cmd := a.subcommand("connections", "List open connections",
		`  sockeye endpoint connections --tenant acme --output json`, cobra.NoArgs, func(cmd *cobra.Command, _ []string) error {
			if limit < 0 {
				return errors.New("--limit: must be at least 0, which is all")
			}
			all, more, err := a.connections(cmd.Context(), &filter, limit)
			if err != nil {
				return err
			}
			if more {
				fmt.Fprintf(cmd.ErrOrStderr(), "there are more than %d; see --limit\n", limit)
			}
			if a.output == "json" {
				return writeJSON(cmd.OutOrStdout(), all)
			}
			return writeConnections(cmd.OutOrStdout(), all)
		})
	cmd.Flags().IntVar(&limit, "limit", 100, "list at most this `NUMBER`; 0 lists all")
	return a.printing(filter.add(cmd))
}

// connections gets one page after the other.
func (a *adminFlags) connections(ctx context.Context, filter *filterFlags, limit int) (
	all []endpoint.Connection, more bool, err error,
) {
	const most = 1000
	query := url.Values{}
	for name, value := range filter.set() {
		query.Set(name, value)
	}
	all = []endpoint.Connection{}
	for {
		want := most
		if limit > 0 {
			want = min(most, limit-len(all))
		}
		query.Set("limit", strconv.Itoa(want))
		var page endpoint.ConnectionPage
		if err = a.ask(ctx, "connections", query, nil, &page); err != nil {
			return nil, false, err
		}
		all = append(all, page.Connections...)
		if page.Next == "" || limit > 0 && len(all) >= limit {
			return all, page.Next != "", nil
		}
		query.Set("after", page.Next)
	}
}

func writeConnections(w io.Writer, all []endpoint.Connection) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "ID\tSTATE\tOPENED\tUSER\tTENANT\tADDRESS\tPATH\tSUBPROTOCOL\tIDLE\tRTT\tRECEIVED\tSENT")
	for _, c := range all {
		row := []string{
			c.ID, c.State, c.Opened.Format(time.RFC3339), c.UserHash, c.Tenant, network(c), c.Path, c.Subprotocol,
			short(c.IdleSeconds), short(c.RoundTripSeconds), strconv.FormatInt(c.Received.Messages, 10),
			strconv.FormatInt(c.Sent.Messages, 10),
		}
		for i := range row {
			row[i] = cmp.Or(printable(row[i]), "-")
		}
		fmt.Fprintln(t, strings.Join(row, "\t"))
	}
	return t.Flush()
}

func network(c endpoint.Connection) string {
	if !c.Address.IsValid() {
		return ""
	}
	return c.Address.String()
}

// printable is text of a client, as a terminal may have it.
func printable(s string) string {
	if quoted := strconv.QuoteToASCII(s); quoted != `"`+s+`"` {
		return quoted
	}
	return s
}

// short is a time of one or two units; 0 is "".
func short(seconds float64) string {
	d := time.Duration(seconds * float64(time.Second))
	switch {
	case d <= 0:
		return ""
	case d < time.Second:
		return d.Round(100 * time.Microsecond).String()
	}
	return d.Round(time.Second).String()
}

func newInspectCommand(a *adminFlags) *cobra.Command {
	return a.printing(a.subcommand("inspect ID", "Show all that is known of a connection", "", cobra.ExactArgs(1),
		func(cmd *cobra.Command, args []string) error {
			var c endpoint.Connection
			if err := a.ask(cmd.Context(), "connections/"+url.PathEscape(args[0]), nil, nil, &c); err != nil {
				return err
			}
			if a.output == "json" {
				return writeJSON(cmd.OutOrStdout(), c)
			}
			return writeConnection(cmd.OutOrStdout(), c)
		}))
}

func writeConnection(w io.Writer, c endpoint.Connection) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	row := func(name, value string) {
		if value != "" {
			fmt.Fprintf(t, "%s\t%s\n", name, printable(value))
		}
	}
	row("id", c.ID)
	row("state", c.State)
	if c.CloseCode != 0 {
		row("close code", strconv.Itoa(c.CloseCode))
	}
	row("opened", c.Opened.Format(time.RFC3339))
	row("user hash", c.UserHash)
	row("tenant", c.Tenant)
	row("tier", c.Tier)
	row("authenticated by", string(c.Method))
	if !c.AuthExpires.IsZero() {
		row("authenticated until", c.AuthExpires.Format(time.RFC3339))
	}
	row("address", network(c))
	row("tls", strconv.FormatBool(c.TLS))
	row("path", c.Path)
	row("subprotocol", c.Subprotocol)
	row("idle", short(c.IdleSeconds))
	row("silent", short(c.SilentSeconds))
	row("round trip", short(c.RoundTripSeconds))
	row("received", fmt.Sprintf("%d messages, %d bytes", c.Received.Messages, c.Received.Bytes))
	row("sent", fmt.Sprintf("%d messages, %d bytes", c.Sent.Messages, c.Sent.Bytes))
	if q := c.Queue; q != nil {
		text := fmt.Sprintf("%d messages, %d bytes", q.Messages, q.Bytes)
		if q.WritingSeconds > 0 {
			text += ", a write stands still for " + short(q.WritingSeconds)
		}
		row("waiting to be sent", text)
	}
	for _, l := range c.Limits {
		text := fmt.Sprintf("%.0f of %.0f left", l.Left, l.Most)
		if l.PerSecond > 0 {
			text += fmt.Sprintf(", %.4g a second", l.PerSecond)
		}
		row(l.Policy, text)
	}
	return t.Flush()
}

func newCloseCommand(a *adminFlags) *cobra.Command {
	var filter filterFlags
	var all bool
	var code int
	var reason string
	cmd := a.subcommand("close [ID]", "Close a connection, or those of a filter",
		`  sockeye endpoint close 9f3c61d0a2b44e079f3c61d0a2b44e07
  sockeye endpoint close --tenant acme --code 1012 --reason "come back"
  sockeye endpoint close --all --code 1001`,
		cobra.MaximumNArgs(1), func(cmd *cobra.Command, args []string) error {
			body := map[string]any{"code": code, "reason": reason, "all": all}
			if f := filter.set(); len(f) > 0 {
				body["filter"] = f
			}
			if len(args) > 0 {
				body["id"] = args[0]
			}
			return a.change(cmd, "close", body, "closed")
		})
	cmd.Flags().BoolVar(&all, "all", false, "close all")
	cmd.Flags().IntVar(&code, "code", 1008, "close code")
	cmd.Flags().StringVar(&reason, "reason", "", "reason of the Close frame, which clients see")
	return filter.add(cmd)
}

func newRevokeCommand(a *adminFlags) *cobra.Command {
	var tokenID, subject, tenant, session, before, lasts string
	cmd := a.subcommand("revoke", "Revoke credentials, and end the connections that came with them",
		`  sockeye endpoint revoke --token-id 6f1b
  sockeye endpoint revoke --subject ann --tenant acme --before 2026-11-22T10:00:00Z`,
		cobra.NoArgs, func(cmd *cobra.Command, _ []string) error {
			return a.change(cmd, "revoke", given(map[string]string{
				"token_id": tokenID, "subject": subject, "tenant": tenant, "session": session, "before": before, "for": lasts,
			}), "revoked; closed")
		})
	f := cmd.Flags()
	f.StringVar(&tokenID, "token-id", "", "the credential with this `ID`")
	f.StringVar(&subject, "subject", "", "those of this `USER`")
	f.StringVar(&tenant, "tenant", "", "those of this `TENANT`")
	f.StringVar(&session, "session", "", "those of this `SESSION` at the identity provider")
	f.StringVar(&before, "before", "", "only those issued before this `TIME`, in RFC 3339")
	f.StringVar(&lasts, "for", "", "forget it after this `TIME`, by when they have expired (default 24h)")
	return cmd
}

// ruleFlags name who is blocked.
type ruleFlags struct{ address, userHash, subject, tenant, reason, lasts string }

func (r *ruleFlags) add(cmd *cobra.Command) *cobra.Command {
	f := cmd.Flags()
	f.StringVar(&r.address, "address", "", "this `ADDRESS` (IPv6: its /64) or network")
	f.StringVar(&r.userHash, "user-hash", "", "the user with this `HASH`")
	f.StringVar(&r.subject, "subject", "", "this `USER`")
	f.StringVar(&r.tenant, "tenant", "", "this `TENANT`, or the user of this tenant")
	return cmd
}

func (r *ruleFlags) body() map[string]string {
	return given(map[string]string{
		"address": r.address, "user_hash": r.userHash, "subject": r.subject, "tenant": r.tenant, "reason": r.reason,
		"for": r.lasts,
	})
}

func newBlockCommand(a *adminFlags) *cobra.Command {
	var r ruleFlags
	cmd := r.add(a.subcommand("block", "Keep clients out for a time, and close their connections",
		`  sockeye endpoint block --address 203.0.113.7 --reason flood --for 30m
  sockeye endpoint block --user-hash p1:k3y1d234:nbswy3dpehpk3pxpnbswy3dpeh --tenant acme --reason abuse`,
		cobra.NoArgs, func(cmd *cobra.Command, _ []string) error {
			return a.change(cmd, "block", r.body(), "blocked; closed")
		}))
	reasons := make([]string, 0, len(endpoint.BlockReasons()))
	for _, reason := range endpoint.BlockReasons() {
		reasons = append(reasons, string(reason))
	}
	cmd.Flags().StringVar(&r.reason, "reason", "", "why: "+strings.Join(reasons, ", ")+" (default operator)")
	cmd.Flags().StringVar(&r.lasts, "for", "", "for this `TIME`, a year at most (default 1h)")
	return cmd
}

func newUnblockCommand(a *adminFlags) *cobra.Command {
	var r ruleFlags
	return r.add(a.subcommand("unblock", "Let clients in again", `  sockeye endpoint unblock --address 203.0.113.7`,
		cobra.NoArgs, func(cmd *cobra.Command, _ []string) error {
			if err := a.ask(cmd.Context(), "unblock", nil, r.body(), &struct{}{}); err != nil {
				return err
			}
			fmt.Fprintln(cmd.OutOrStdout(), "unblocked")
			return nil
		}))
}

func newBlocksCommand(a *adminFlags) *cobra.Command {
	return a.printing(a.subcommand("blocks", "List who is blocked", "", cobra.NoArgs,
		func(cmd *cobra.Command, _ []string) error {
			var page endpoint.BlockPage
			if err := a.ask(cmd.Context(), "blocks", nil, nil, &page); err != nil {
				return err
			}
			if page.More > 0 {
				fmt.Fprintf(cmd.ErrOrStderr(), "%d more end later\n", page.More)
			}
			if a.output == "json" {
				return writeJSON(cmd.OutOrStdout(), page.Blocks)
			}
			t := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
			fmt.Fprintln(t, "ADDRESS\tUSER\tTENANT\tREASON\tUNTIL")
			for _, b := range page.Blocks {
				address := "-"
				if b.Address.IsValid() {
					address = b.Address.String()
				}
				fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\n", address, cmp.Or(b.UserHash, "-"), cmp.Or(printable(b.Tenant), "-"), b.Reason,
					b.Until.Format(time.RFC3339))
			}
			return t.Flush()
		}))
}

// change has something changed, and says how many connections that closed.
func (a *adminFlags) change(cmd *cobra.Command, path string, body any, done string) error {
	var answer struct {
		Closed int `json:"closed"`
	}
	if err := a.ask(cmd.Context(), path, nil, body, &answer); err != nil {
		return err
	}
	fmt.Fprintf(cmd.OutOrStdout(), "%s %s\n", done, plural(answer.Closed, "connection"))
	return nil
}

// ask sends body, or gets where it is nil.
func (a *adminFlags) ask(ctx context.Context, path string, query url.Values, body, answer any) error {
	base, err := url.Parse(a.url)
	if err != nil || base.Host == "" || base.Scheme != "http" && base.Scheme != "https" {
		return errors.New("--admin: write it like " + defaultAdmin)
	}
	transport := &http.Transport{DisableKeepAlives: true}
	if transport.TLSClientConfig, err = a.tlsConfig(); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, a.timeout)
	defer cancel()
	method, text := http.MethodGet, []byte(nil)
	if body != nil {
		method = http.MethodPost
		if text, err = json.Marshal(body); err != nil {
			return err
		}
	}
	where := base.JoinPath("v1", path)
	where.RawQuery = query.Encode()
	request, err := http.NewRequestWithContext(ctx, method, where.String(), bytes.NewReader(text))
	if err != nil {
		return errors.New("--admin: write it like " + defaultAdmin)
	}
	request.Header.Set("Content-Type", "application/json")
	response, err := (&http.Client{Transport: transport}).Do(request)
	if err != nil {
		var op *net.OpError
		var wrapped *url.Error
		if errors.As(err, &op) {
			err = op.Err
		} else if errors.As(err, &wrapped) {
			err = wrapped.Err // which does not have the URL
		}
		return fmt.Errorf("no endpoint answers operators at %s: %w; is it running, and is this its admin.endpoint?",
			base.Host, err)
	}
	defer response.Body.Close()
	text, err = io.ReadAll(io.LimitReader(response.Body, 16<<20))
	var fault struct {
		Error string `json:"error"`
	}
	switch {
	case err != nil:
		return fmt.Errorf("%s stopped answering: %w", base.Host, err)
	case response.StatusCode != http.StatusOK && json.Unmarshal(text, &fault) == nil && fault.Error != "":
		return errors.New(fault.Error)
	case response.StatusCode != http.StatusOK || json.Unmarshal(text, answer) != nil:
		return fmt.Errorf("%s answers, but not like the operators' side of an endpoint (status %d); is this its "+
			"admin.endpoint?", base.Host, response.StatusCode)
	}
	return nil
}

func (a *adminFlags) tlsConfig() (*tls.Config, error) {
	c := &tls.Config{MinVersion: tls.VersionTLS12}
	if (a.cert == "") != (a.key == "") {
		return nil, errors.New("--cert, --key: need each other")
	}
	if a.cert != "" {
		pair, err := tls.LoadX509KeyPair(a.cert, a.key)
		if err != nil {
			return nil, fmt.Errorf("--cert, --key: %w", err)
		}
		c.Certificates = []tls.Certificate{pair}
	}
	if a.ca != "" {
		pem, err := os.ReadFile(a.ca)
		if err != nil {
			return nil, fmt.Errorf("--ca: %w", err)
		}
		if c.RootCAs = x509.NewCertPool(); !c.RootCAs.AppendCertsFromPEM(pem) {
			return nil, errors.New("--ca: no certificate found")
		}
	}
	return c, nil
}
