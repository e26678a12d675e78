package alerts

import (
	"net/url"
	"strings"
)

// Placeholders returns what a link may hold, to be replaced.
func Placeholders() []string { return []string{"{alertname}", "{service}", "{slo}", "{severity}"} }

// expand fills a link's placeholders.
func expand(template string, values map[string]string) string {
	for _, p := range Placeholders() {
		template = strings.ReplaceAll(template, p, url.QueryEscape(values[strings.Trim(p, "{}")]))
	}
	return template
}
