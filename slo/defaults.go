package slo

import (
	"embed"
	"slices"

	"github.com/sockeye-project/sockeye/event"
)

//go:embed defaults/*.yaml
var defaultFiles embed.FS

// DefaultSettings say for which services the indicators that ship with Sockeye are computed, and where they look.
type DefaultSettings struct {
	Services []string
	// Vantage counts connections, AuthVantage authentications; empty means edge and app.
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

// Defaults instantiates the documents of slo/defaults for each service.
func Defaults(settings DefaultSettings) ([]SLO, error) {
	templates, err := Parse(DefaultSources()...)
	if err != nil {
		return nil, err
	}
	vantage, authVantage := settings.Vantage, settings.AuthVantage
	if vantage == "" {
		vantage = event.VantageEdge
	}
	if authVantage == "" {
		authVantage = event.VantageApp
	}
	var slos []SLO
	for _, service := range settings.Services {
		for _, s := range templates {
			s.Service = service
			s.Indicator.Environment = settings.Environment
			s.Indicator.Vantage = vantage
			if slices.ContainsFunc(s.Indicator.Total, func(t Term) bool { return event.Name(t.Event) == event.Auth }) {
				s.Indicator.Vantage = authVantage
			}
			slos = append(slos, s)
		}
	}
	return slos, nil
}
