package websocketclickhouseexporter

import (
	"testing"

	"github.com/sockeye-project/sockeye/store/embedded/embeddedtest"
)

// endpoints has, for each scheme of an endpoint, how a test gets an empty database of the shared engine. TestAgainstTheEngine runs
// over every one of them.
var endpoints = map[string]func(testing.TB) (dsn string){
	"http": embeddedtest.Database,
}

// scheme is that of the tests that run. They are not parallel.
var scheme string

func database(t testing.TB) string { return endpoints[scheme](t) }

// httpDatabase is for tests that stand between the exporter and the engine.
func httpDatabase(t testing.TB) string { return endpoints["http"](t) }
