package alerts

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"regexp"
	"slices"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/sockeye-project/sockeye/slo"
)

// Threshold is when an alert of a symptom or of the collector fires. A value of 0 does not apply to the alert.
type Threshold struct {
	Severity slo.Severity `yaml:"severity"`
	// PerSecond is the floor: what happens more rarely is no symptom, however unusual.
	PerSecond float64 `yaml:"per_second"`
	// Times is how many times what is usual is too much.
	Times float64 `yaml:"times"`
	// Share is the least share of the whole.
	Share float64 `yaml:"share"`
	Bytes float64 `yaml:"bytes"`
	// Within is an age, or the time that is left; Page is the same of the page, where the alert has a ticket too.
	Within time.Duration `yaml:"within"`
	Page   time.Duration `yaml:"page"`
	// For is how long the condition must hold, Keep how long the alert stays after it held last.
	For  time.Duration `yaml:"for"`
	Keep time.Duration `yaml:"keep"`
}

// DefaultThresholds are by alert.
func DefaultThresholds() map[string]Threshold {
	const page, ticket = slo.SeverityPage, slo.SeverityTicket
	keep := 10 * time.Minute
	return map[string]Threshold{
		Storm:       {Severity: ticket, PerSecond: 10, Times: 4, For: 2 * time.Minute, Keep: keep},
		AuthSpike:   {Severity: ticket, PerSecond: 0.2, Times: 4, Share: 0.1, For: 2 * time.Minute, Keep: keep},
		IDPOutage:   {Severity: page, PerSecond: 0.05, Share: 0.2, For: 2 * time.Minute, Keep: keep},
		Flood:       {Severity: ticket, PerSecond: 100, Times: 5, For: 2 * time.Minute, Keep: keep},
		ParseErrors: {Severity: ticket, PerSecond: 0.1, Times: 4, Share: 0.001, For: 5 * time.Minute, Keep: keep},
		Termination: {Severity: page, PerSecond: 0.2, Times: 5, Share: 0.2, For: time.Minute, Keep: keep},
		DDoS:        {Severity: page, PerSecond: 10, Times: 10, Share: 0.5, For: 2 * time.Minute, Keep: keep},
		Plaintext:   {Severity: ticket, Within: time.Hour},
		Memory:      {Severity: ticket, Times: 1.5, Bytes: 256 << 20, For: 30 * time.Minute},
		Silent:      {Severity: ticket, Within: 5 * time.Minute},
		Watermark:   {Severity: page, Within: 10 * time.Minute},
		QueueFull:   {Severity: ticket, Share: 0.8, For: 5 * time.Minute},
		Dropped:     {Severity: ticket, Keep: keep},
		Certificate: {Severity: ticket, Within: 14 * 24 * time.Hour, Page: 3 * 24 * time.Hour},
	}
}

// Settings are what an operator may change, as a YAML file.
type Settings struct {
	// Thresholds change those of the alerts they name, key by key.
	Thresholds map[string]Threshold
	// Owners are whom Alertmanager tells. The first is told of all that no other owns.
	Owners []Owner
	// Quiet is when tickets wait; none means never. It is in the words of Alertmanager's time_intervals.
	Quiet []yaml.Node
	// Watchdog says how whoever misses the watchdog hears it, as Page does.
	Watchdog map[string]yaml.Node
}

// Owner is a team.
type Owner struct {
	Name string `yaml:"name"`
	// Services are its own.
	Services []string `yaml:"services"`
	// Page and Ticket say how it is told, such as {webhook_configs: [{url: …}]}: a receiver of Alertmanager but for its name.
	Page   map[string]yaml.Node `yaml:"page"`
	Ticket map[string]yaml.Node `yaml:"ticket"`
}

// DefaultSettings have one owner, whom nobody has told yet how to tell, and let tickets wait for working hours.
func DefaultSettings() Settings {
	var quiet struct{ Quiet []yaml.Node }
	const hours = `quiet:
  - weekdays: [saturday, sunday]
  - times: [{start_time: "00:00", end_time: "08:00"}, {start_time: "18:00", end_time: "24:00"}]
`
	if err := yaml.Unmarshal([]byte(hours), &quiet); err != nil {
		panic("alerts: " + err.Error())
	}
	return Settings{Thresholds: DefaultThresholds(), Owners: []Owner{{Name: "sockeye"}}, Quiet: quiet.Quiet}
}

type settingsFile struct {
	Thresholds map[string]yaml.Node `yaml:"thresholds"`
	Owners     []Owner              `yaml:"owners"`
	Quiet      *[]yaml.Node         `yaml:"quiet"`
	Watchdog   map[string]yaml.Node `yaml:"watchdog"`
}

var ownerName = regexp.MustCompile(`^[a-z0-9][a-z0-9_-]{0,62}$`)

// ParseSettings reads a file. What it leaves out has its default.
func ParseSettings(name string, data []byte) (Settings, error) {
	s := DefaultSettings()
	var file settingsFile
	if err := strict(data, &file); err != nil {
		return s, fmt.Errorf("%s: %w", name, err)
	}
	var faults []error
	fault := func(text string, args ...any) { faults = append(faults, fmt.Errorf(name+": "+text, args...)) }
	for _, alert := range slices.Sorted(maps.Keys(file.Thresholds)) {
		t, known := s.Thresholds[alert]
		if !known {
			fault("thresholds.%s: no such alert; there are %v", alert, slices.Sorted(maps.Keys(s.Thresholds)))
			continue
		}
		before := t
		node := file.Thresholds[alert]
		text, err := yaml.Marshal(&node)
		if err == nil {
			err = strict(text, &t)
		}
		if err != nil {
			fault("thresholds.%s: %w", alert, err)
			continue
		}
		for _, err := range t.faults(before) {
			fault("thresholds.%s.%w", alert, err)
		}
		s.Thresholds[alert] = t
	}
	if len(file.Owners) > 0 {
		s.Owners = file.Owners
	}
	s.Watchdog = file.Watchdog
	if file.Quiet != nil {
		s.Quiet = *file.Quiet
	}
	names, services := map[string]bool{}, map[string]bool{}
	for i, o := range s.Owners {
		if !ownerName.MatchString(o.Name) || names[o.Name] {
			fault("owners[%d].name: must be a name of its own, of a-z, 0-9, - and _, got %q", i, o.Name)
		}
		names[o.Name] = true
		if i > 0 && len(o.Services) == 0 {
			fault("owners[%d].services: must name one: all that is nobody's is the first owner's", i)
		}
		for _, service := range o.Services {
			if services[service] {
				fault("owners[%d].services: %q has an owner already", i, service)
			}
			services[service] = true
		}
	}
	return s, errors.Join(faults...)
}

// faults are what is wrong with a threshold whose default is known: what is 0 there does not apply to the alert.
func (t Threshold) faults(usual Threshold) (faults []error) {
	fault := func(text string, args ...any) { faults = append(faults, fmt.Errorf(text, args...)) }
	if t.Severity != slo.SeverityPage && t.Severity != slo.SeverityTicket {
		fault("severity: must be page or ticket, got %q", t.Severity)
	}
	for _, n := range []struct {
		key        string
		got, usual float64
	}{
		{"per_second", t.PerSecond, usual.PerSecond}, {"times", t.Times, usual.Times}, {"share", t.Share, usual.Share},
		{"bytes", t.Bytes, usual.Bytes}, {"within", float64(t.Within), float64(usual.Within)}, {"page", float64(t.Page), float64(usual.Page)},
	} {
		switch {
		case n.usual == 0 && n.got != 0:
			fault("%s: does not apply to this alert; leave it out", n.key)
		case n.usual != 0 && !(n.got > 0):
			fault("%s: must be above 0", n.key)
		}
	}
	if t.Share >= 1 {
		fault("share: must be below 1, got %v", t.Share)
	}
	if t.Times != 0 && t.Times <= 1 {
		fault("times: must be above 1, got %v", t.Times)
	}
	for key, d := range map[string]time.Duration{"within": t.Within, "page": t.Page, "for": t.For, "keep": t.Keep} {
		if d < 0 || d%time.Second != 0 {
			fault("%s: must be whole seconds, got %v", key, d)
		}
	}
	slices.SortFunc(faults, func(a, b error) int { return bytes.Compare([]byte(a.Error()), []byte(b.Error())) })
	return faults
}

// strict decodes a document, and refuses what it does not know.
func strict(data []byte, to any) error {
	d := yaml.NewDecoder(bytes.NewReader(data))
	d.KnownFields(true)
	if err := d.Decode(to); err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	return nil
}
