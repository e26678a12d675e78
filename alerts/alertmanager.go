package alerts

import (
	"fmt"
	"regexp"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/sockeye-project/sockeye/slo"
)

// AlertmanagerFile is a configuration of Alertmanager.
type AlertmanagerFile struct {
	Route         AlertmanagerRoute      `yaml:"route"`
	InhibitRules  []AlertmanagerInhibit  `yaml:"inhibit_rules"`
	TimeIntervals []AlertmanagerInterval `yaml:"time_intervals,omitempty"`
	Receivers     []AlertmanagerReceiver `yaml:"receivers"`
}

// AlertmanagerRoute says who is told of what, and how soon.
type AlertmanagerRoute struct {
	Receiver          string              `yaml:"receiver"`
	Matchers          []string            `yaml:"matchers,omitempty"`
	GroupBy           []string            `yaml:"group_by,omitempty,flow"`
	GroupWait         string              `yaml:"group_wait,omitempty"`
	GroupInterval     string              `yaml:"group_interval,omitempty"`
	RepeatInterval    string              `yaml:"repeat_interval,omitempty"`
	MuteTimeIntervals []string            `yaml:"mute_time_intervals,omitempty,flow"`
	Routes            []AlertmanagerRoute `yaml:"routes,omitempty"`
}

// AlertmanagerInhibit keeps target quiet while source fires, where both have the same labels.
type AlertmanagerInhibit struct {
	Source []string `yaml:"source_matchers"`
	Target []string `yaml:"target_matchers"`
	Equal  []string `yaml:"equal,flow"`
}

// AlertmanagerInterval names times.
type AlertmanagerInterval struct {
	Name          string      `yaml:"name"`
	TimeIntervals []yaml.Node `yaml:"time_intervals"`
}

// AlertmanagerReceiver is somebody, and how to tell.
type AlertmanagerReceiver struct {
	Name string               `yaml:"name"`
	How  map[string]yaml.Node `yaml:",inline"`
}

const quietHours = "quiet"

// Alertmanager returns a configuration for the alerts of all three who may own them. Each of notes names what is still to do.
func Alertmanager(s Settings) (file AlertmanagerFile, notes []string) {
	if len(s.Quiet) > 0 {
		file.TimeIntervals = []AlertmanagerInterval{{quietHours, s.Quiet}}
	}
	is := func(severity slo.Severity) string { return fmt.Sprintf("severity=%q", severity) }
	receiver := func(name string, how map[string]yaml.Node) string {
		file.Receivers = append(file.Receivers, AlertmanagerReceiver{name, how})
		if len(how) == 0 {
			notes = append(notes, fmt.Sprintf("receiver %s tells nobody: say how in the settings, such as "+
				"{webhook_configs: [{url: …}]}", name))
		}
		return name
	}
	const dog = "watchdog"
	receiver(dog, s.Watchdog)
	watch := AlertmanagerRoute{
		Receiver: dog, Matchers: []string{fmt.Sprintf("alertname=%q", Watchdog)}, GroupBy: []string{"alertname"},
		GroupWait: "0s", GroupInterval: "1m", RepeatInterval: "1m",
	}
	var owned, rest []AlertmanagerRoute
	for i, o := range s.Owners {
		page := AlertmanagerRoute{
			Receiver: receiver(o.Name+"-page", o.Page), Matchers: []string{is(slo.SeverityPage)}, GroupWait: "10s",
			GroupInterval: "1m", RepeatInterval: "1h",
		}
		// A ticket waits, so that a page can keep it quiet.
		ticket := AlertmanagerRoute{
			Receiver: receiver(o.Name+"-ticket", o.Ticket), GroupWait: "5m", GroupInterval: "15m", RepeatInterval: "1d",
		}
		if len(s.Quiet) > 0 {
			ticket.MuteTimeIntervals = []string{quietHours}
		}
		if i == 0 {
			file.Route = AlertmanagerRoute{Receiver: ticket.Receiver, GroupBy: []string{"service", "slo", "region", "tenant"}}
			rest = []AlertmanagerRoute{page, ticket}
			continue
		}
		names := make([]string, len(o.Services))
		for j, name := range o.Services {
			names[j] = regexp.QuoteMeta(name)
		}
		owned = append(owned, AlertmanagerRoute{
			Receiver: ticket.Receiver, Matchers: []string{fmt.Sprintf("service=~%q", strings.Join(names, "|"))},
			Routes: []AlertmanagerRoute{page, ticket},
		})
	}
	file.Route.Routes = append(append([]AlertmanagerRoute{watch}, owned...), rest...)
	names := func(alerts ...string) string { return fmt.Sprintf("alertname=~%q", strings.Join(alerts, "|")) }
	file.InhibitRules = []AlertmanagerInhibit{
		{[]string{is(slo.SeverityPage), `slo!=""`}, []string{is(slo.SeverityTicket), `slo!=""`}, []string{"service", "slo", "region", "tenant"}},
		{[]string{is(slo.SeverityPage), names(Certificate)}, []string{is(slo.SeverityTicket), names(Certificate)}, []string{"instance"}},
		// What one says, the other says again.
		{[]string{names(DDoS)}, []string{names(Storm)}, []string{"service", "region", "vantage"}},
		{[]string{names(Watermark)}, []string{names(Silent)}, nil},
		{[]string{names("SLOEngineBlind", Watermark)}, []string{names(Absent)}, nil},
	}
	return file, notes
}

// YAML is the file as Alertmanager reads it.
func (f AlertmanagerFile) YAML() ([]byte, error) { return encode(f) }
