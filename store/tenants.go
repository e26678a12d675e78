package store

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"sync"
	"sync/atomic"

	"github.com/ClickHouse/clickhouse-go/v2"

	"github.com/sockeye-project/sockeye/event"
	"github.com/sockeye-project/sockeye/store/schema"
)

// maxTenantServices bounds how many services have tenants of their own.
const maxTenantServices = 1000

// Claim is a tenant that wants to count by name.
type Claim struct{ Service, Tenant string }

// Tenants decides which tenants count by name: at most a limit of each service, the same in every collector and after
// every restart, because the table tenants remembers them. It is safe for concurrent use.
type Tenants struct {
	limit int
	view  atomic.Pointer[TenantView]
	// changing is held while tenants are admitted.
	changing sync.Mutex
}

// TenantView is what was admitted at one moment. It does not change, and a later one only knows more tenants. The nil view
// bounds nothing.
type TenantView struct {
	limit    int
	services map[string]map[string]struct{}
}

// NewTenants returns Tenants of which nothing is known yet.
func NewTenants(limit int) *Tenants { return &Tenants{limit: limit} }

// View returns what is known, or nil before the first Load.
func (t *Tenants) View() *TenantView { return t.view.Load() }

// Bound returns what an event counts as that names tenant, and whether the tenant should be admitted first.
func (v *TenantView) Bound(service, tenant string, e *event.Event) (as string, claim bool) {
	if v == nil || tenant == "" || tenant == event.TenantOther || tenant == event.TenantUnverified {
		return tenant, false
	}
	tenants := v.services[service]
	if _, admitted := tenants[tenant]; admitted {
		return tenant, false
	}
	if !e.LetIn() {
		return event.TenantUnverified, false
	}
	room := len(tenants) < v.limit && (tenants != nil || len(v.services) < maxTenantServices)
	return event.TenantOther, room
}

// Load reads the tenants from s, as if nothing had been known.
func (t *Tenants) Load(ctx context.Context, s *Store) error {
	t.changing.Lock()
	defer t.changing.Unlock()
	services, err := s.tenants(ctx, t.limit, nil)
	if err != nil {
		return err
	}
	t.view.Store(&TenantView{t.limit, services})
	return nil
}

// Admit writes down the claims for which there is room, and reads back who is admitted: another collector may have been
// faster. The caller stores the events after it, so that they count alike whenever they come again.
func (t *Tenants) Admit(ctx context.Context, s *Store, claims []Claim) error {
	t.changing.Lock()
	defer t.changing.Unlock()
	old := t.view.Load()
	var write []Claim
	var names []string
	counts, services := map[string]int{}, len(old.services)
	for _, c := range claims {
		tenants := old.services[c.Service]
		_, known := tenants[c.Tenant]
		if known || len(tenants)+counts[c.Service] >= t.limit {
			continue
		}
		if tenants == nil && counts[c.Service] == 0 {
			if services >= maxTenantServices {
				continue
			}
			services++
		}
		if counts[c.Service]++; counts[c.Service] == 1 {
			names = append(names, c.Service)
		}
		write = append(write, c)
	}
	if len(write) == 0 {
		return nil
	}
	if err := s.insertTenants(ctx, write); err != nil {
		return err
	}
	admitted, err := s.tenants(ctx, t.limit, names)
	if err != nil {
		return err
	}
	view := &TenantView{t.limit, maps.Clone(old.services)}
	for service, tenants := range admitted {
		// Whoever counted once stays, whatever the clock of ClickHouse says of the order.
		for tenant := range old.services[service] {
			tenants[tenant] = struct{}{}
		}
		view.services[service] = tenants
	}
	t.view.Store(view)
	return nil
}

// tenants reads who is admitted, of the services named or of all.
func (s *Store) tenants(ctx context.Context, limit int, services []string) (map[string]map[string]struct{}, error) {
	where, args := "", []any{}
	if services != nil {
		where, args = " WHERE "+schema.Service+" IN (?)", append(args, services)
	}
	rows, err := s.conn.Query(ctx, `SELECT `+schema.Service+`, `+schema.Tenant+` FROM `+schema.Tenants+where+`
		GROUP BY `+schema.Service+`, `+schema.Tenant+`
		ORDER BY `+schema.Service+`, min(`+schema.AdmittedAt+`), `+schema.Tenant+`
		LIMIT `+fmt.Sprint(limit)+` BY `+schema.Service, args...)
	if err != nil {
		return nil, s.explain("read tenants", err)
	}
	defer rows.Close()
	admitted := map[string]map[string]struct{}{}
	for rows.Next() {
		var service, tenant string
		if err := rows.Scan(&service, &tenant); err != nil {
			return nil, s.explain("read tenants", err)
		}
		if admitted[service] == nil {
			admitted[service] = map[string]struct{}{}
		}
		admitted[service][tenant] = struct{}{}
	}
	return admitted, s.explain("read tenants", rows.Err())
}

func (s *Store) insertTenants(ctx context.Context, claims []Claim) error {
	// A row that is there twice is merged. A token would keep out a tenant that an administrator has removed meanwhile.
	ctx = clickhouse.Context(ctx, clickhouse.WithSettings(clickhouse.Settings{"async_insert": 0, "insert_deduplicate": 0}))
	batch, err := s.conn.PrepareBatch(ctx,
		"INSERT INTO "+schema.Tenants+" ("+schema.Service+", "+schema.Tenant+")")
	if err != nil {
		return s.explain("insert tenants", err)
	}
	for _, c := range claims {
		if err := batch.Append(c.Service, c.Tenant); err != nil {
			return errors.Join(s.schemaFault("insert tenants", err), batch.Abort())
		}
	}
	return s.explain("insert tenants", batch.Send())
}
