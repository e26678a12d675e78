package slo

import (
	"embed"
	"fmt"
	"slices"

	"github.com/sockeye-project/sockeye/event"
)

//go:embed defaults/*.yaml
var defaultFiles embed.FS

// DefaultSettings say for which services the indicators that ship with Sockeye are computed, and where they look.
type DefaultSettings struct {
	Services []string
	// Indicators are their names; none means the usual ones, on connections and authentications.
	Indicators []string
	// Vantage stands in for the edge and AuthVantage for the app, which their documents name; empty keeps those.
	Vantage, AuthVantage string
	// Environment narrows to one deployment environment; empty means all.
	Environment string
}

// DefaultSources returns the documents of slo/defaults.
func DefaultSources() []Source {
	entries, err := defaultFiles.ReadDir("defaults")
	if err != nil {
		panic("slo: " + err.Error())
	}
	var sources []Source
	for _, e := range entries {
		data, err := defaultFiles.ReadFile("defaults/" + e.Name())
		if err != nil {
			panic("slo: " + err.Error())
		}
		sources = append(sources, Source{"slo/defaults/" + e.Name(), data})
	}
	return sources
}

// usualIndicators are those that access logs and what an application says of authentications feed.
var usualIndicators = []string{
	"auth-availability", "auth-latency", "auth-success", "connection-availability", "connection-success",
}

// Defaults instantiates the documents of slo/defaults for each service.
func Defaults(settings DefaultSettings) ([]SLO, error) {
	templates, err := Parse(DefaultSources()...)
	if err != nil {
		return nil, err
	}
	wanted := settings.Indicators
	if len(wanted) == 0 {
		wanted = usualIndicators
	}
	var known []string
	for _, s := range templates {
		known = append(known, s.Name)
	}
	for _, name := range wanted {
		if !slices.Contains(known, name) {
			return nil, fmt.Errorf("no indicator %q ships with Sockeye%s", name, suggest(name, known))
		}
	}
	var slos []SLO
	for _, service := range settings.Services {
		for _, s := range templates {
			if !slices.Contains(wanted, s.Name) {
				continue
			}
			s.Service = service
			s.Indicator.Environment = settings.Environment
			switch {
			case s.Indicator.Vantage == event.VantageEdge && settings.Vantage != "":
				s.Indicator.Vantage = settings.Vantage
			case s.Indicator.Vantage == event.VantageApp && settings.AuthVantage != "":
				s.Indicator.Vantage = settings.AuthVantage
			}
			slos = append(slos, s)
		}
	}
	return slos, nil
}
