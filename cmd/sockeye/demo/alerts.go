package demo

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"time"
)

// alert is what a pager gets of one alert: the fields that Alertmanager's webhook and its v2 API share.
type alert struct {
	Status      string            `json:"status"`
	Labels      map[string]string `json:"labels"`
	Annotations map[string]string `json:"annotations"`
	StartsAt    time.Time         `json:"startsAt"`
	EndsAt      time.Time         `json:"endsAt"`
}

func (a alert) isPage() bool { return a.Labels["severity"] == "page" && a.Labels["slo"] != "" }

// pager stands for the phone of whoever is on call. It receives Alertmanager's webhook, or, where no Alertmanager is
// installed, takes Alertmanager's own v2 API, so that the engine posts the same way.
type pager struct {
	*http.Server
	addr string

	lock    sync.Mutex
	firing  map[string]alert
	arrived chan struct{} // holds one item whenever something changed
	first   alert
	pagedAt time.Time
}

func startPager() (*pager, error) {
	p := &pager{firing: map[string]alert{}, arrived: make(chan struct{}, 1)}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("pager: %w", err)
	}
	p.addr = l.Addr().String()
	mux := http.NewServeMux()
	mux.HandleFunc("POST /webhook", func(w http.ResponseWriter, r *http.Request) {
		var message struct {
			Alerts []alert `json:"alerts"`
		}
		if json.NewDecoder(http.MaxBytesReader(w, r.Body, 1<<20)).Decode(&message) != nil {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		p.take(message.Alerts)
	})
	mux.HandleFunc("POST /api/v2/alerts", func(w http.ResponseWriter, r *http.Request) {
		var alerts []alert
		if json.NewDecoder(http.MaxBytesReader(w, r.Body, 1<<20)).Decode(&alerts) != nil {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		for i := range alerts {
			alerts[i].Status = "firing"
			if end := alerts[i].EndsAt; !end.IsZero() && !end.After(time.Now()) {
				alerts[i].Status = "resolved"
			}
		}
		p.take(alerts)
	})
	p.Server = &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second}
	go p.Serve(l) //nolint:errcheck // ends with ErrServerClosed when the demo does
	return p, nil
}

func (p *pager) take(alerts []alert) {
	p.lock.Lock()
	defer p.lock.Unlock()
	for _, a := range alerts {
		if !a.isPage() {
			continue
		}
		key := a.Labels["alertname"] + "/" + a.Labels["service"] + "/" + a.Labels["slo"]
		if a.Status == "resolved" {
			delete(p.firing, key)
			continue
		}
		p.firing[key] = a
		if p.pagedAt.IsZero() {
			p.pagedAt, p.first = time.Now(), a
		}
	}
	select {
	case p.arrived <- struct{}{}:
	default:
	}
}

// state returns the pages that are firing now, the first that ever arrived, and when that was.
func (p *pager) state() (firing int, first alert, at time.Time) {
	p.lock.Lock()
	defer p.lock.Unlock()
	return len(p.firing), p.first, p.pagedAt
}

// until waits for a state of the pager that satisfies done.
func (p *pager) until(
	ctx context.Context, limit time.Duration, what string, done func(firing int, paged bool) bool,
) error {
	timeout := time.NewTimer(limit)
	defer timeout.Stop()
	for {
		firing, _, at := p.state()
		if done(firing, !at.IsZero()) {
			return nil
		}
		select {
		case <-p.arrived:
		case <-ctx.Done():
			return ctx.Err()
		case <-timeout.C:
			return fmt.Errorf("%s did not happen within %s", what, limit)
		}
	}
}

const alertmanagerConfig = `route:
  receiver: on-call
  group_by: [service, slo]
  group_wait: 1s
  group_interval: 1s
  repeat_interval: 1h
receivers:
  - name: on-call
    webhook_configs:
      - url: http://%s/webhook
        send_resolved: true
inhibit_rules:
  - source_matchers: [severity="page"]
    target_matchers: [severity="ticket"]
    equal: [service, slo]
`

func startAlertmanager(ctx context.Context, dir, path, pager string) (*process, string, error) {
	config := filepath.Join(dir, "alertmanager.yml")
	if err := os.WriteFile(config, fmt.Appendf(nil, alertmanagerConfig, pager), 0o600); err != nil {
		return nil, "", err
	}
	addr, err := freeAddress()
	if err != nil {
		return nil, "", err
	}
	p, err := startProcess(dir, "alertmanager", path, "--config.file="+config, "--web.listen-address="+addr,
		"--storage.path="+filepath.Join(dir, "alertmanager"), "--cluster.listen-address=")
	if err != nil {
		return nil, "", err
	}
	return p, addr, p.until(ctx, 20*time.Second, reachable(addr))
}
