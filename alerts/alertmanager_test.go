package alerts_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sockeye-project/sockeye/alerts"
	"github.com/sockeye-project/sockeye/internal/testenv"
)

const owners = `
thresholds:
  ConnectionStorm: {per_second: 50, times: 6}
owners:
  - name: platform
    page: {webhook_configs: [{url: "http://127.0.0.1:9/page"}]}
  - name: chat-team
    services: [chat, chat.v2]
    page: {webhook_configs: [{url: "http://127.0.0.1:9/chat"}]}
    ticket: {webhook_configs: [{url: "http://127.0.0.1:9/ticket"}]}
quiet: [{weekdays: [sunday]}]
watchdog: {webhook_configs: [{url: "http://127.0.0.1:9/dog"}]}
`

func alertmanagerText(t testing.TB) string {
	t.Helper()
	s, err := alerts.ParseSettings("alerts.yaml", []byte(owners))
	require.NoError(t, err)
	file, notes := alerts.Alertmanager(s)
	require.Equal(t, []string{"receiver platform-ticket tells nobody: say how in the settings, such as {webhook_configs: [{url: …}]}"}, notes)
	text, err := file.YAML()
	require.NoError(t, err)
	return string(text)
}

// routes are who is told of alerts with some labels.
var routes = map[string]struct {
	labels   []string
	receiver string
}{
	"a page of nobody's service":    {[]string{"alertname=ErrorBudgetBurn", "service=feed", "slo=x", "severity=page"}, "platform-page"},
	"a ticket of nobody's service":  {[]string{"alertname=ErrorBudgetBurn", "service=feed", "slo=x", "severity=ticket"}, "platform-ticket"},
	"a page of a team's service":    {[]string{"alertname=DDoSInProgress", "service=chat", "severity=page"}, "chat-team-page"},
	"a ticket of a team's service":  {[]string{"alertname=ConnectionStorm", "service=chat.v2", "severity=ticket"}, "chat-team-ticket"},
	"a name that only looks alike":  {[]string{"alertname=ConnectionStorm", "service=chatXv2", "severity=page"}, "platform-page"},
	"the collector's own":           {[]string{"alertname=EventsDropped", "severity=ticket"}, "platform-ticket"},
	"the watchdog":                  {[]string{"alertname=Watchdog", "severity=none"}, "watchdog"},
	"a severity that nobody writes": {[]string{"alertname=Other", "service=chat", "severity=info"}, "chat-team-ticket"},
}

// amtool says whether Alertmanager takes a configuration and routes as it should.
func amtool(t testing.TB, text string) (faults []string) {
	t.Helper()
	program := testenv.Program(t, "amtool", "prometheus-alertmanager")
	file := filepath.Join(t.TempDir(), "alertmanager.yaml")
	require.NoError(t, os.WriteFile(file, []byte(text), 0o600))
	if out, err := exec.Command(program, "check-config", file).CombinedOutput(); err != nil {
		return []string{string(out)}
	}
	for name, test := range routes {
		args := append([]string{"config", "routes", "test", "--config.file=" + file, "--verify.receivers=" + test.receiver}, test.labels...)
		if out, err := exec.Command(program, args...).CombinedOutput(); err != nil {
			faults = append(faults, name+": "+string(out))
		}
	}
	return faults
}

func TestAmtoolAcceptsTheConfigurationAndItsRoutes(t *testing.T) {
	t.Parallel()
	text := alertmanagerText(t)
	require.Empty(t, amtool(t, text))
	require.Equal(t, text, alertmanagerText(t), "the same bytes each time")
	require.Contains(t, text, "group_by: [service, slo, region, tenant]\n")

	for name, change := range map[string][2]string{
		"no route for pages":         {`- severity="page"`, `- severity="none"`},
		"a receiver that is not":     {"receiver: chat-team-page", "receiver: nobody"},
		"a team without its service": {`service=~"chat|chat\\.v2"`, `service=~"chat"`},
		"a service that is a regex":  {`service=~"chat|chat\\.v2"`, `service=~"chat|chat.v2"`},
		"no watchdog":                {`alertname="Watchdog"`, `alertname="Dog"`},
		"times that have no name":    {"name: quiet", "name: other"},
		"a key that is none":         {"group_by:", "group:"},
	} {
		changed := strings.Replace(text, change[0], change[1], 1)
		require.NotEqual(t, text, changed, name)
		require.NotEmpty(t, amtool(t, changed), name)
	}
}

func TestSettingsReportEveryFault(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct{ text, want string }{
		"no such alert":        {"thresholds: {Storm: {times: 4}}", "thresholds.Storm: no such alert"},
		"no such key":          {"thresholds: {ConnectionStorm: {rate: 4}}", "thresholds.ConnectionStorm: yaml: unmarshal errors:\n  line 1: field rate not found"},
		"a key of others":      {"thresholds: {ConnectionStorm: {bytes: 4}}", "thresholds.ConnectionStorm.bytes: does not apply to this alert"},
		"nothing":              {"thresholds: {ConnectionStorm: {times: 0}}", "thresholds.ConnectionStorm.times: must be above 0"},
		"less than usual":      {"thresholds: {ConnectionStorm: {times: 0.5}}", "thresholds.ConnectionStorm.times: must be above 1, got 0.5"},
		"more than all":        {"thresholds: {DDoSInProgress: {share: 2}}", "thresholds.DDoSInProgress.share: must be below 1, got 2"},
		"a part of a second":   {"thresholds: {DDoSInProgress: {for: 10ms}}", "thresholds.DDoSInProgress.for: must be whole seconds"},
		"a severity":           {"thresholds: {DDoSInProgress: {severity: loud}}", "thresholds.DDoSInProgress.severity: must be page or ticket"},
		"an owner of nothing":  {"owners: [{name: a}, {name: b}]", "owners[1].services: must name one"},
		"two of one name":      {"owners: [{name: a}, {name: a, services: [x]}]", "owners[1].name: must be a name of its own"},
		"two owners of a one":  {"owners: [{name: a}, {name: b, services: [x]}, {name: c, services: [x]}]", `owners[2].services: "x" has an owner already`},
		"a section that is no": {"limits: {}", "field limits not found"},
	} {
		_, err := alerts.ParseSettings("alerts.yaml", []byte(test.text))
		require.ErrorContains(t, err, "alerts.yaml: ", name)
		require.ErrorContains(t, err, test.want, name)
	}
	s, err := alerts.ParseSettings("alerts.yaml", nil)
	require.NoError(t, err)
	require.Equal(t, alerts.DefaultThresholds(), s.Thresholds)

	changed, err := alerts.ParseSettings("alerts.yaml", []byte("thresholds: {ConnectionStorm: {per_second: 50, severity: page}}"))
	require.NoError(t, err)
	o := links
	o.Thresholds = changed.Thresholds
	require.Contains(t, write(t, nil, o), "websocket:attempts:rate5m > 50\n          and websocket:attempts:rate5m > 4 *")
}
