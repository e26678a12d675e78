package main

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/sockeye-project/sockeye/endpoint/content"
)

func newPolicyCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "policy",
		Short: "Check what messages may hold: manifests, schemas, access rules",
		Args:  cobra.NoArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newPolicyCheckCommand())
	return cmd
}

type policyCheckOptions struct {
	against        string
	allowUndecided bool
	now            func() time.Time
}

func newPolicyCheckCommand() *cobra.Command {
	o := policyCheckOptions{now: time.Now}
	cmd := &cobra.Command{
		Use:   "check DIRECTORY",
		Short: "Check a content directory; with --against, what it refuses that another accepted",
		Long: `Reads the manifest and the schemas of a directory as the endpoint does. Faults go to stderr as FILE:LINE:COLUMN: KEY:
WHAT, all of them at once.

With --against, every change that refuses messages which the old directory accepted goes to stdout with "breaks", and
every change that nobody can decide with "undecided". Both give exit status 1; what only widens is not there. "note" is
for what refuses nothing yet.`,
		Example: `  sockeye policy check content
  git worktree add ../released v1.4.0 && sockeye policy check content --against ../released/content`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			cmd.SilenceUsage = true
			return o.run(cmd, args[0])
		},
	}
	cmd.Flags().StringVar(&o.against, "against", "", "the `DIRECTORY` that is in use")
	cmd.Flags().BoolVar(&o.allowUndecided, "allow-undecided", false,
		"exit with 0 if nothing breaks, whatever is undecided")
	return cmd
}

func (o *policyCheckOptions) run(cmd *cobra.Command, directory string) error {
	if o.allowUndecided && o.against == "" {
		return errors.New("--allow-undecided: needs --against")
	}
	load := func(directory string) (*content.Policy, error) {
		p, err := content.Load(directory)
		var faults content.Faults
		if errors.As(err, &faults) {
			fmt.Fprintln(cmd.ErrOrStderr(), faults)
			return nil, errors.New(plural(len(faults), "fault"))
		}
		return p, err
	}
	policy, err := load(directory)
	if err != nil {
		return err
	}
	if o.against == "" {
		fmt.Fprintf(cmd.OutOrStdout(), "%s; no faults\n", policy)
		return nil
	}
	old, err := load(o.against)
	if err != nil {
		return fmt.Errorf("--against: %w", err)
	}
	counts := map[content.Effect]int{}
	for _, change := range content.Compare(old, policy, o.now()) {
		fmt.Fprintln(cmd.OutOrStdout(), change)
		counts[change.Effect]++
	}
	var found []string
	if n := counts[content.Breaks]; n > 0 {
		found = append(found, plural(n, "change")+" that break")
	}
	if n := counts[content.Undecided]; n > 0 && !o.allowUndecided {
		found = append(found, plural(n, "change")+" that cannot be decided")
	}
	if len(found) > 0 {
		return errors.New(strings.Join(found, ", "))
	}
	fmt.Fprintf(cmd.OutOrStdout(), "%s; nothing that was accepted is refused\n", policy)
	return nil
}

func plural(n int, what string) string {
	if n != 1 {
		what += "s"
	}
	return fmt.Sprintf("%d %s", n, what)
}
