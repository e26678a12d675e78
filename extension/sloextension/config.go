package sloextension

import (
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/config/confighttp"
	"go.opentelemetry.io/collector/config/configopaque"
	"go.opentelemetry.io/collector/confmap"

	"github.com/sockeye-project/sockeye/slo"
	"github.com/sockeye-project/sockeye/store"
)

// Config configures the SLO engine.
type Config struct {
	// Endpoint is the DSN of the store, such as http://127.0.0.1:8123/sockeye. It may hold a password.
	Endpoint configopaque.String `mapstructure:"endpoint"`
	// Interval is the time between two evaluations.
	Interval time.Duration `mapstructure:"interval"`
	// SLOs are OpenSLO files, or patterns of them.
	SLOs []string `mapstructure:"slos"`
	// Defaults instantiates the indicators that ship with Sockeye.
	Defaults DefaultsConfig `mapstructure:"defaults"`
	// Resolution is the step of the rollup that burn windows are read from: 1m or 10s.
	Resolution time.Duration `mapstructure:"resolution"`
	// WindowScale divides the burn windows, for demonstrations. Budget windows keep their length.
	WindowScale int `mapstructure:"window_scale"`
	// HTTP is where the API and the metrics are served.
	HTTP confighttp.ServerConfig `mapstructure:"http"`
	// Alerting says who alerts, and where to.
	Alerting AlertingConfig `mapstructure:"alerting"`
}

// DefaultsConfig says which services the default indicators are computed for.
type DefaultsConfig struct {
	// Services are values of service.name.
	Services []string `mapstructure:"services"`
	// Indicators are the names of those that are computed; none means the five on connections and authentications.
	Indicators []string `mapstructure:"indicators"`
	// Vantage is where connections are counted.
	Vantage string `mapstructure:"vantage"`
	// AuthVantage is where authentications and messages are counted.
	AuthVantage string `mapstructure:"auth_vantage"`
	// Environment narrows to one deployment.environment.name; empty means all.
	Environment string `mapstructure:"environment"`
}

// AlertingConfig says who alerts, and where to.
type AlertingConfig struct {
	// Owner is the one system that alerts: engine, prometheus, grafana or none.
	Owner string `mapstructure:"owner"`
	// Alertmanagers each get every alert. Their endpoint is the address without /api/v2.
	Alertmanagers []Alertmanager `mapstructure:"alertmanagers"`
	// ResendInterval is how often a firing alert is repeated.
	ResendInterval time.Duration `mapstructure:"resend_interval"`
	// RunbookURL, DashboardURL and GeneratorURL are links on alerts. {alertname}, {service}, {slo} and {severity} are
	// replaced.
	RunbookURL   string `mapstructure:"runbook_url"`
	DashboardURL string `mapstructure:"dashboard_url"`
	GeneratorURL string `mapstructure:"generator_url"`
}

// Alertmanager is where alerts are sent: an address, or a mapping with the keys of an HTTP client.
type Alertmanager struct {
	Client confighttp.ClientConfig `mapstructure:",squash"`
}

// alertmanagerTimeout keeps an Alertmanager that does not answer from delaying the next evaluation for long.
const alertmanagerTimeout = 10 * time.Second

// UnmarshalText takes the plain address.
func (a *Alertmanager) UnmarshalText(address []byte) error {
	a.Client = confighttp.NewDefaultClientConfig()
	a.Client.Timeout = alertmanagerTimeout
	a.Client.Endpoint = string(address)
	return nil
}

// Unmarshal takes the mapping.
func (a *Alertmanager) Unmarshal(conf *confmap.Conf) error {
	a.Client = confighttp.NewDefaultClientConfig()
	a.Client.Timeout = alertmanagerTimeout
	var strict clientKeys
	return errors.Join(conf.Unmarshal(&strict), conf.Unmarshal(a))
}

// The HTTP settings of the collector ignore keys that they do not know, since they may stand beside others. Decoded
// into types without their methods, unknown keys are faults as everywhere.
type (
	clientKeys confighttp.ClientConfig
	serverKeys confighttp.ServerConfig
)

// Unmarshal decodes strictly, the HTTP settings included.
func (cfg *Config) Unmarshal(conf *confmap.Conf) error {
	err := conf.Unmarshal(cfg)
	if sub, subErr := conf.Sub("http"); subErr == nil {
		strict := serverKeys(confighttp.NewDefaultServerConfig())
		if subErr := sub.Unmarshal(&strict); subErr != nil {
			err = errors.Join(err, fmt.Errorf("http: %w", subErr))
		}
	}
	return err
}

// The owners of alerting.
const (
	ownerEngine     = "engine"
	ownerPrometheus = "prometheus"
	ownerGrafana    = "grafana"
	ownerNone       = "none"
)

var owners = []string{ownerEngine, ownerPrometheus, ownerGrafana, ownerNone}

func createDefaultConfig() component.Config {
	server := confighttp.NewDefaultServerConfig()
	server.NetAddr.Endpoint = "127.0.0.1:9466"
	return &Config{
		Endpoint:    "http://127.0.0.1:8123/sockeye",
		Interval:    30 * time.Second,
		Defaults:    DefaultsConfig{Vantage: "edge", AuthVantage: "app"},
		Resolution:  time.Minute,
		WindowScale: 1,
		HTTP:        server,
		Alerting: AlertingConfig{
			Owner:          ownerEngine,
			ResendInterval: time.Minute,
			RunbookURL:     "https://github.com/sockeye-project/sockeye/blob/main/docs/runbooks/{alertname}.md",
		},
	}
}

var placeholder = regexp.MustCompile(`\{[^{}]*\}`)

// Validate reports every fault of the configuration and of the SLO documents that it names.
func (cfg *Config) Validate() error {
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }

	if err := store.CheckDSN(string(cfg.Endpoint), store.Options{}); err != nil {
		errs = append(errs, err) // it names the key itself
	}
	if cfg.Interval < time.Second {
		bad("interval: must be at least 1s, got %v", cfg.Interval)
	}
	if cfg.WindowScale < 1 || cfg.WindowScale > 3600 {
		bad("window_scale: must be between 1 and 3600, got %d", cfg.WindowScale)
	} else if err := cfg.timing().Validate(); err != nil {
		bad("resolution: %w", err)
	}
	if cfg.HTTP.NetAddr.Endpoint == "" {
		bad("http.endpoint: must be an address to listen on, such as 127.0.0.1:9466")
	}
	errs = append(errs, cfg.Defaults.validate()...)
	errs = append(errs, cfg.Alerting.validate()...)
	if len(cfg.SLOs) == 0 && len(cfg.Defaults.Services) == 0 {
		bad("slos: must name at least one file, or defaults.services at least one service")
	}
	if _, err := slo.Defaults(slo.DefaultSettings{Indicators: cfg.Defaults.Indicators}); err != nil {
		bad("defaults.indicators: %w", err)
	} else if _, err := cfg.load(); err != nil {
		bad("slos: %w", err)
	}
	return errors.Join(errs...)
}

func (d DefaultsConfig) validate() []error {
	var errs []error
	for key, vantage := range map[string]string{"vantage": d.Vantage, "auth_vantage": d.AuthVantage} {
		if !slices.Contains(slo.Vantages(), vantage) {
			errs = append(errs, fmt.Errorf("defaults.%s: must be one of %s, got %q", key,
				strings.Join(slo.Vantages(), ", "), vantage))
		}
	}
	slices.SortFunc(errs, func(a, b error) int { return strings.Compare(a.Error(), b.Error()) })
	for i, service := range d.Services {
		if service == "" {
			errs = append(errs, fmt.Errorf("defaults.services[%d]: must not be empty", i))
		}
		if slices.Index(d.Services, service) != i {
			errs = append(errs, fmt.Errorf("defaults.services[%d]: %q is listed twice", i, service))
		}
	}
	return errs
}

func (a AlertingConfig) validate() []error {
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf("alerting."+format, args...)) }
	if !slices.Contains(owners, a.Owner) {
		bad("owner: must be one of %s, got %q", strings.Join(owners, ", "), a.Owner)
	}
	switch {
	case a.Owner == ownerEngine && len(a.Alertmanagers) == 0:
		bad("alertmanagers: must list at least one, or set alerting.owner to none if nobody is to be paged")
	case slices.Contains(owners, a.Owner) && a.Owner != ownerEngine && len(a.Alertmanagers) > 0:
		bad("alertmanagers: is only for alerting.owner: engine, and it is %s; exactly one system pages", a.Owner)
	}
	for i, am := range a.Alertmanagers {
		if u, err := url.Parse(am.Client.Endpoint); err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
			bad("alertmanagers[%d].endpoint: must be an address such as http://127.0.0.1:9093", i)
		}
	}
	// Alertmanager takes an alert as over when its end has passed; four repetitions may be lost before that.
	if a.ResendInterval < time.Second || a.ResendInterval > 5*time.Minute {
		bad("resend_interval: must be between 1s and 5m, got %v", a.ResendInterval)
	}
	for _, link := range []struct{ key, template string }{
		{"runbook_url", a.RunbookURL}, {"dashboard_url", a.DashboardURL}, {"generator_url", a.GeneratorURL},
	} {
		for _, p := range placeholder.FindAllString(link.template, -1) {
			if !slices.Contains(placeholders, p) {
				bad("%s: unknown placeholder %s; known are %s", link.key, p, strings.Join(placeholders, ", "))
			}
		}
	}
	return errs
}

func (cfg *Config) timing() slo.Timing {
	return slo.Timing{Resolution: cfg.Resolution, Scale: cfg.WindowScale}
}

// load reads the SLOs: those of files, then the defaults of each service.
func (cfg *Config) load() ([]slo.SLO, error) {
	slos, err := slo.Load(cfg.SLOs...)
	if err != nil {
		return nil, err
	}
	defaults, err := slo.Defaults(slo.DefaultSettings{
		Services:   slices.Compact(slices.Sorted(slices.Values(cfg.Defaults.Services))),
		Indicators: cfg.Defaults.Indicators,
		Vantage:    cfg.Defaults.Vantage, AuthVantage: cfg.Defaults.AuthVantage,
		Environment: cfg.Defaults.Environment,
	})
	if err != nil {
		return nil, err
	}
	slos = append(slos, defaults...)
	seen := make(map[[2]string]bool, len(slos))
	for i := range slos {
		s := &slos[i]
		if key := [2]string{s.Service, s.Name}; !seen[key] {
			seen[key] = true
		} else {
			return nil, fmt.Errorf("%s of %s is defined twice, in a file and by defaults.services; rename the one in the file",
				s.Name, s.Service)
		}
	}
	return slos, nil
}
