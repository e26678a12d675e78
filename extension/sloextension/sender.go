package sloextension

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/go-openapi/strfmt"
	"github.com/prometheus/alertmanager/api/v2/models"
	"go.uber.org/zap"

	"github.com/sockeye-project/sockeye/extension/sloextension/internal/metadata"
)

// sender tells every Alertmanager what fires and what is over. What one does not accept is sent again on the next tick.
type sender struct {
	targets   []*target
	resend    time.Duration
	expiry    time.Duration
	logger    *zap.Logger
	telemetry *metadata.TelemetryBuilder
}

// target is one Alertmanager and what it was told.
type target struct {
	name   string // without credentials
	url    string
	client *http.Client
	told   map[string]telling
	down   bool
}

type telling struct {
	at       time.Time
	resolved bool
}

func (s *sender) add(endpoint string, client *http.Client) error {
	u, err := url.Parse(endpoint)
	if err != nil {
		return errors.New("alerting.alertmanagers: not an address")
	}
	s.targets = append(s.targets, &target{
		name: u.Host, client: client, told: map[string]telling{},
		url: strings.TrimSuffix(endpoint, "/") + "/api/v2/alerts",
	})
	return nil
}

// send tells each Alertmanager what is new to it or due for repetition, all of them at once.
func (s *sender) send(ctx context.Context, alerts []alert, asof, now time.Time) {
	end := s.end(asof, now)
	var wait sync.WaitGroup
	for _, t := range s.targets {
		wait.Go(func() { s.sendTo(ctx, t, alerts, end, now) })
	}
	wait.Wait()
}

// endsLater is the step in which an alert's end is put off while asof stands still.
const endsLater = 5 * time.Minute

// end is when an alert that fires is over if it is not repeated. It depends on the clock in long steps only, so that engines
// that look at the same asof within some seconds of each other post the same.
func (s *sender) end(asof, now time.Time) time.Time {
	if asof.IsZero() || asof.After(now) {
		asof = now.Truncate(time.Minute)
	}
	return asof.Add((now.Sub(asof)/endsLater + 1) * endsLater).Add(s.expiry)
}

func (s *sender) sendTo(ctx context.Context, t *target, alerts []alert, end, now time.Time) {
	var due models.PostableAlerts
	told := make(map[string]telling, len(alerts))
	fresh := make(map[string]telling, len(alerts))
	for i := range alerts {
		a := &alerts[i]
		id, resolved := a.identity(), !a.EndsAt.IsZero()
		last, known := t.told[id]
		if known {
			told[id] = last
		}
		if known && last.resolved == resolved && now.Sub(last.at) < s.resend {
			continue
		}
		due = append(due, s.postable(a, end))
		fresh[id] = telling{now, resolved}
	}
	t.told = told // forgets alerts that are no more
	if len(due) == 0 {
		return
	}
	err := t.post(ctx, due)
	if err != nil {
		if errors.Is(ctx.Err(), context.Canceled) {
			return
		}
		s.telemetry.SloEngineAlertmanagerFailures.Add(ctx, 1)
		if !t.down {
			t.down = true
			s.logger.Warn("alertmanager does not take alerts; they are sent again on every tick until it does",
				zap.String("server.address", t.name), zap.Error(err))
		}
		return
	}
	if t.down {
		t.down = false
		s.logger.Info("alertmanager takes alerts again", zap.String("server.address", t.name))
	}
	s.telemetry.SloEngineAlertsSent.Add(ctx, int64(len(due)))
	for id, telling := range fresh {
		t.told[id] = telling
	}
}

func (s *sender) postable(a *alert, end time.Time) *models.PostableAlert {
	if !a.EndsAt.IsZero() {
		end = a.EndsAt
	}
	return &models.PostableAlert{
		Annotations: a.Annotations, StartsAt: strfmt.DateTime(a.StartsAt), EndsAt: strfmt.DateTime(end),
		Alert: models.Alert{Labels: a.Labels, GeneratorURL: strfmt.URI(a.Generator)},
	}
}

func (t *target) post(ctx context.Context, alerts models.PostableAlerts) error {
	body, err := json.Marshal(alerts)
	if err != nil {
		return err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, t.url, bytes.NewReader(body))
	if err != nil {
		return errors.New("not an address")
	}
	request.Header.Set("Content-Type", "application/json")
	response, err := t.client.Do(request)
	if err != nil {
		var urlErr *url.Error
		if errors.As(err, &urlErr) {
			return urlErr.Err // the address may hold credentials
		}
		return err
	}
	defer response.Body.Close()
	answer, _ := io.ReadAll(io.LimitReader(response.Body, 512))
	if response.StatusCode/100 != 2 {
		return fmt.Errorf("answered %d: %s", response.StatusCode, strings.TrimSpace(string(answer)))
	}
	return nil
}
