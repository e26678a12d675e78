// Command sockeye is the OpenTelemetry Collector with the components of builder-config.yaml, plus the commands that work
// on the same events, store and SLOs without a running collector.
//
// It holds no logic of its own beyond the command line: facts go to stdout, messages to stderr, and an error is printed
// once, as `sockeye: …`, with exit status 1 unless the command defines another.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime/debug"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/confmap"
	"go.opentelemetry.io/collector/confmap/provider/envprovider"
	"go.opentelemetry.io/collector/confmap/provider/fileprovider"
	"go.opentelemetry.io/collector/confmap/provider/httpprovider"
	"go.opentelemetry.io/collector/confmap/provider/yamlprovider"
	"go.opentelemetry.io/collector/otelcol"

	"github.com/sockeye-project/sockeye/receiver/websocketendpointreceiver"
)

// version is set by the linker: -X main.version=v1.2.3.
var version string

// providers are the confmap providers of builder-config.yaml; a test compares the two.
var providers = []confmap.ProviderFactory{
	envprovider.NewFactory(),
	fileprovider.NewFactory(),
	httpprovider.NewFactory(),
	yamlprovider.NewFactory(),
}

func main() {
	useHeapFloor()
	os.Exit(run(context.Background(), os.Args[1:], os.Stdout, os.Stderr))
}

// subcommands are what this binary adds to the collector's own.
func subcommands() []*cobra.Command {
	return []*cobra.Command{
		newClickhouseCommand(),
		newDemoCommand(),
		newEndpointCommand(),
		newGenerateCommand(),
		newParseCommand(),
		newPolicyCommand(),
		newQueryCommand(),
		newRedactCommand(),
		newSLOCommand(),
		newStoreCommand(),
	}
}

// run is main without the process: it returns the exit status.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	root := newRootCommand()
	root.SetArgs(args)
	root.SetOut(stdout)
	root.SetErr(stderr)
	err := root.ExecuteContext(ctx)
	websocketendpointreceiver.Close(context.WithoutCancel(ctx))
	if err == nil {
		return 0
	}
	if text := err.Error(); text != "" {
		fmt.Fprintf(stderr, "sockeye: %s\n", text)
	}
	var status interface{ ExitStatus() int }
	if errors.As(err, &status) {
		return status.ExitStatus()
	}
	return 1
}

const (
	longHelp = `
Sockeye watches WebSocket services. It reads what you already have (proxy logs, your own events), removes personal
data, stores the events in ClickHouse, computes SLIs and burn rates there, and pages through Alertmanager.

With --config it runs as an OpenTelemetry Collector. The commands below work without one.`
	exampleHelp = `
  sockeye demo                               see all of it on this machine, with an incident; nothing to configure
  sockeye --config collector.yaml            run the collector
  sockeye validate --config collector.yaml   check a configuration; every fault is reported, with its key
  sockeye parse --format nginx access.log    show the events Sockeye reads from a log`
)

const (
	groupOurs = "ours"
	groupConf = "config"
)

func newRootCommand() *cobra.Command {
	settings := otelcol.CollectorSettings{
		BuildInfo: component.BuildInfo{
			Command:     "sockeye",
			Description: "WebSocket security events, SLOs and burn-rate alerts",
			Version:     buildVersion(),
		},
		Factories: components,
		ConfigProviderSettings: otelcol.ConfigProviderSettings{
			ResolverSettings: confmap.ResolverSettings{
				ProviderFactories:  providers,
				ConverterFactories: []confmap.ConverterFactory{confmap.NewConverterFactory(newPrivacyConverter)},
			},
		},
		ProviderModules: providerModules(),
	}
	root := otelcol.NewCommand(settings)
	root.Use = "sockeye"
	root.Short = "Watch WebSocket services: security events, SLOs and burn-rate alerts"
	root.Long = strings.TrimSpace(longHelp)
	root.Example = strings.Trim(exampleHelp, "\n")
	root.SilenceErrors = true
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return fmt.Errorf("%w; see `%s --help`", err, cmd.CommandPath())
	})

	root.AddGroup(
		&cobra.Group{ID: groupOurs, Title: "Commands:"},
		&cobra.Group{ID: groupConf, Title: "Commands about the collector:"},
	)
	root.SetHelpCommandGroupID(groupConf)
	root.SetCompletionCommandGroupID(groupConf)
	describe(root)
	explainFaults(root, settings)
	for _, cmd := range root.Commands() {
		cmd.GroupID = groupConf
		describe(cmd)
		explainFaults(cmd, settings)
	}
	for _, cmd := range subcommands() {
		cmd.GroupID = groupOurs
		root.AddCommand(cmd)
	}
	return root
}

// describe words the collector's own commands and flags for a reader of --help: the originals show every feature gate
// and read their examples as the name of the value.
func describe(cmd *cobra.Command) {
	switch cmd.Name() {
	case "validate":
		cmd.Short = "Check a configuration without running it"
	case "components":
		cmd.Short = "List the components in this binary"
	case "print-config":
		cmd.Short = "Print a configuration as the collector understands it"
	case "featuregate":
		cmd.Short = "List the collector's feature gates"
	}
	set := func(name, usage string, hide bool) {
		if flag := cmd.Flags().Lookup(name); flag != nil {
			flag.Usage, flag.DefValue, flag.Hidden = usage, "", hide
		}
	}
	set("config", "configuration `FILE`, or a URI such as yaml:… or http:…; repeat it to merge several", false)
	set("set", "set one property over the file: `KEY=VALUE`, for example --set=processors.batch.timeout=2s", false)
	set("feature-gates", "comma-separated feature gates; a leading - disables one", true)
}

// explainFaults makes a collector command report every fault of its configuration in our words. The configuration is
// examined only after the collector refused it, so a working one is read once.
func explainFaults(cmd *cobra.Command, settings otelcol.CollectorSettings) {
	inner := cmd.RunE
	if inner == nil || cmd.Flags().Lookup("config") == nil {
		return
	}
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		uris := configURIs(cmd.Flags().Lookup("config"))
		if len(uris) == 0 && !cmd.Flags().Changed("set") {
			return fmt.Errorf("no configuration given; use `%s --config FILE`, or `sockeye --help` for what else there is",
				cmd.CommandPath())
		}
		err := inner(cmd, args)
		if err == nil || errors.Is(err, context.Canceled) {
			return err
		}
		if faults := examine(cmd.Context(), settings, uris); faults != nil {
			return faults
		}
		return errors.New(trimNoise(err.Error()))
	}
}

// configURIs reads the collector's own flag, whose values have no other form than "[a, b]".
func configURIs(flag *pflag.Flag) []string {
	list := strings.TrimSuffix(strings.TrimPrefix(flag.Value.String(), "["), "]")
	if list == "" {
		return nil
	}
	return strings.Split(list, ", ")
}

// providerModules says for `sockeye components` which module each scheme comes from, in the form of components.go.
func providerModules() map[string]string {
	versions := map[string]string{}
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, dep := range info.Deps {
			versions[dep.Path] = dep.Version
		}
	}
	modules := map[string]string{}
	for _, factory := range providers {
		scheme := factory.Create(confmap.ProviderSettings{}).Scheme()
		path := "go.opentelemetry.io/collector/confmap/provider/" + scheme + "provider"
		modules[scheme] = strings.TrimSpace(path + " " + versions[path])
	}
	return modules
}

func buildVersion() string {
	if version != "" {
		return version
	}
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" && info.Main.Version != "(devel)" {
		return info.Main.Version
	}
	return "devel"
}
