// Package demo runs all of Sockeye on one machine, with traffic and an incident, so that a newcomer sees a real proxy
// log become a burn rate and a page. Everything is real where it is installed: the engine, the collector, nginx,
// Alertmanager; what stands in for a missing one says so on the screen.
//
// The invariant to keep: it listens on loopback and sends nothing elsewhere, leaves no process behind, and ends
// without an error only if the page arrived and resolved and every connection the clients saw was counted.
package demo

import (
	"bytes"
	"context"
	"embed"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"text/template"
	"time"

	"github.com/sockeye-project/sockeye/examples"
	"github.com/sockeye-project/sockeye/store"
)

//go:embed *.tmpl
var templates embed.FS

// Settings say how to run it.
type Settings struct {
	// Executable is the sockeye binary, which runs the collector and the engine.
	Executable string
	// Keep leaves everything running at the end until ctx is cancelled, and prints where it can be looked at.
	Keep bool
	// WithoutNginx and WithoutAlertmanager behave as on a machine that lacks them.
	WithoutNginx, WithoutAlertmanager bool
	// Out is the screen.
	Out io.Writer
}

const (
	clientCount = 24
	// pageLimit and resolveLimit bound the wait for the pager.
	pageLimit    = 60 * time.Second
	resolveLimit = 100 * time.Second
)

// addresses are what the templates need.
type addresses struct {
	Dir, AccessLog, LogFormat, Service                    string
	ClickHouse, DSN, SLO, Push, Alertmanager, Listen, App string
}

type demo struct {
	Settings
	addresses
	began time.Time
	// stops end what was started, all at once: what a part still wants of another is of no use any more.
	stops []func()

	collector *process
	idp       *identityProvider
	app       *application
	report    *reporter
	pager     *pager
	clients   *clients
	db        *store.Store
	// historyEnd is where the past that was made ends and the traffic of this run begins.
	historyEnd time.Time
}

// Run runs the demo. It returns an error if a part could not be started, the page did not arrive or resolve, or the
// counts differ.
func Run(ctx context.Context, s Settings) (err error) {
	dir, err := os.MkdirTemp("", "sockeye-demo-")
	if err != nil {
		return err
	}
	d := &demo{Settings: s, began: time.Now()}
	d.Dir, d.Service, d.LogFormat = dir, serviceName, examples.NginxLogFormat
	defer func() {
		var stopped sync.WaitGroup
		for _, stop := range d.stops {
			stopped.Go(stop)
		}
		stopped.Wait()
		if err != nil {
			d.say("the logs of this run are in %s", dir)
			return
		}
		err = os.RemoveAll(dir)
	}()
	for _, part := range []func(context.Context) error{d.start, d.history, d.incident} {
		if err := part(ctx); err != nil {
			if ctx.Err() != nil {
				return errors.New("interrupted")
			}
			return err
		}
	}
	return nil
}

// say prints one line of progress with the time since the demo began.
func (d *demo) say(format string, args ...any) {
	fmt.Fprintf(d.Out, "%4.0f s  %s\n", time.Since(d.began).Seconds(), fmt.Sprintf(format, args...))
}

func (d *demo) onStop(f func()) { d.stops = append(d.stops, f) }

func (d *demo) start(ctx context.Context) error {
	for _, addr := range []*string{&d.ClickHouse, &d.SLO, &d.Push, &d.Listen} {
		var err error
		if *addr, err = freeAddress(); err != nil {
			return err
		}
	}
	d.DSN = "http://" + d.ClickHouse + "/sockeye"
	d.AccessLog = filepath.Join(d.Dir, "access.log")
	log, err := os.OpenFile(d.AccessLog, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	d.onStop(func() { log.Close() })

	if err := d.startAlerting(ctx); err != nil {
		return err
	}
	config, err := d.render("collector.yaml.tmpl")
	if err != nil {
		return err
	}
	if d.collector, err = startProcess(d.Dir, "collector", d.Executable, "--config", config); err != nil {
		return err
	}
	d.onStop(d.collector.stop)
	for _, addr := range []string{d.ClickHouse, d.Push, d.SLO} {
		if err := d.collector.until(ctx, 60*time.Second, reachable(addr)); err != nil {
			return err
		}
	}
	d.say("collector and embedded ClickHouse are up; the status page is at http://%s/", d.SLO)
	return d.startTraffic(ctx, log)
}

func (d *demo) startAlerting(ctx context.Context) (err error) {
	if d.pager, err = startPager(); err != nil {
		return err
	}
	d.onStop(func() { d.pager.Close() })
	d.Alertmanager = d.pager.addr
	path := findProgram("prometheus-alertmanager")
	if path == "" {
		path = findProgram("alertmanager")
	}
	if path == "" || d.WithoutAlertmanager {
		d.say("Alertmanager is not installed: a built-in receiver of the same API stands in for it")
		return nil
	}
	am, addr, err := startAlertmanager(ctx, d.Dir, path, d.pager.addr)
	if am != nil {
		d.onStop(am.stop)
	}
	if err != nil {
		return err
	}
	d.Alertmanager = addr
	d.say("Alertmanager is up, with a webhook as the pager")
	return nil
}

func (d *demo) startTraffic(ctx context.Context, accessLog *os.File) (err error) {
	if d.idp, err = startIdentityProvider(); err != nil {
		return err
	}
	d.onStop(func() { d.idp.Close() })
	d.report = newReporter("http://" + d.Push + "/v1/events")
	nginx := findProgram("nginx")
	viaNginx := nginx != "" && !d.WithoutNginx
	if viaNginx {
		accessLog = nil
	}
	if d.app, err = startApplication(d.idp.addr, d.report, accessLog); err != nil {
		return err
	}
	d.onStop(func() { d.app.Close() })
	d.App = d.app.addr
	if !viaNginx {
		d.Listen = d.App
		d.say("nginx is not installed: the application writes the same access log lines itself")
		return nil
	}
	config, err := d.render("nginx.conf.tmpl")
	if err != nil {
		return err
	}
	p, err := startProcess(d.Dir, "nginx", nginx, "-c", config, "-p", d.Dir, "-e", filepath.Join(d.Dir, "nginx.start.log"))
	if err != nil {
		return err
	}
	d.onStop(p.stop)
	d.say("nginx stands before the application and asks it, and it the identity provider, about every handshake")
	return p.until(ctx, 10*time.Second, reachable(d.Listen))
}

// render writes a template, filled with the addresses, into the demo's folder and returns its path.
func (d *demo) render(name string) (string, error) {
	t, err := template.ParseFS(templates, name)
	if err != nil {
		return "", err
	}
	var text bytes.Buffer
	if err := t.Execute(&text, d.addresses); err != nil {
		return "", err
	}
	path := filepath.Join(d.Dir, name[:len(name)-len(".tmpl")])
	return path, os.WriteFile(path, text.Bytes(), 0o600)
}

// get fetches a page of one of the demo's own servers.
func get(ctx context.Context, url string) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, 8<<20))
	if err == nil && resp.StatusCode != http.StatusOK {
		host, _, _ := net.SplitHostPort(req.URL.Host)
		err = fmt.Errorf("%s%s answered %s", host, req.URL.Path, resp.Status)
	}
	return body, err
}
