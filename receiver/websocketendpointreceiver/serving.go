package websocketendpointreceiver

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"github.com/sockeye-project/sockeye/endpoint"
	"github.com/sockeye-project/sockeye/endpoint/auth"
	"github.com/sockeye-project/sockeye/event"
	"github.com/sockeye-project/sockeye/internal/keyfile"
	"github.com/sockeye-project/sockeye/source"
	"github.com/sockeye-project/sockeye/wire"
)

// revocationsInterval is how often the file of revocations is looked at: a revocation ends sessions within a second.
const revocationsInterval = 250 * time.Millisecond

// serving is an endpoint at its address, with all that lives as long.
type serving struct {
	cfg      *Config
	recorder *recorder
	endpoint *endpoint.Endpoint
	server   *endpoint.Server
	addr     net.Addr
	// admin is nil unless operators are served. What they have revoked and blocked outlives a changed section.
	admin       *endpoint.Admin
	adminAddr   net.Addr
	revocations *auth.Revocations
	blocks      *endpoint.Blocks
	logger      *atomic.Pointer[zap.Logger]
	// failed gets the error that ended the server before its shutdown.
	failed chan error

	// keys are those of jwt.key_file.
	keys   *auth.KeySet
	remote *auth.RemoteKeys
	cancel context.CancelFunc
	group  sync.WaitGroup
}

// open serves cfg. What the endpoint tells goes to rec. left, if not nil, is what served before and has ended.
func open(cfg *Config, rec *recorder, logger *zap.Logger, left *serving) (_ *serving, err error) {
	s := &serving{cfg: cfg, recorder: rec, logger: new(atomic.Pointer[zap.Logger]), failed: make(chan error, 2)}
	s.logger.Store(logger)
	run, cancel := context.WithCancel(context.Background())
	s.cancel = cancel
	defer func() {
		if err != nil {
			if s.endpoint != nil {
				ended, end := context.WithCancel(context.Background())
				end()
				_ = s.endpoint.Shutdown(ended) // there are no connections
			}
			s.release()
		}
	}()
	set, err := s.settings()
	if err != nil {
		return nil, err
	}
	authenticator, err := s.authenticator()
	if err != nil {
		return nil, err
	}
	if isSet(cfg.Admin) {
		if s.blocks = endpoint.NewBlocks(0, nil); left != nil && left.blocks != nil {
			s.blocks = left.blocks
		}
	}
	if authenticator != nil && (isSet(cfg.Admin) || cfg.RevocationsFile != "") {
		if s.revocations = auth.NewRevocations(0, nil); left != nil && left.revocations != nil {
			s.revocations = left.revocations
		}
	}
	set.Revocations, set.Blocks = s.revocations, s.blocks
	tickets, err := s.tickets(&set, authenticator)
	if err != nil {
		return nil, err
	}
	if s.endpoint, err = endpoint.New(set); err != nil {
		return nil, err
	}
	if cfg.RevocationsFile != "" {
		fault := func(err error) {
			s.logger.Load().Error("revocations_file: nothing is changed until it can be read", zap.Error(err))
		}
		s.group.Go(func() { s.revocations.Follow(run, cfg.RevocationsFile, revocationsInterval, fault) })
	}
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.URL.Path == cfg.Path:
			s.endpoint.ServeHTTP(w, r)
		case tickets != nil && r.URL.Path == cfg.Tickets.Path:
			tickets.ServeHTTP(w, r)
		default:
			http.NotFound(w, r)
		}
	})
	if s.server, err = s.endpoint.Server(endpoint.ServerSettings{
		Handler: handler, CertFile: cfg.TLS.CertFile, KeyFile: cfg.TLS.KeyFile,
		ClientCAFile: cfg.TLS.ClientCAFile, RequireClientCert: cfg.TLS.RequireClientCert,
	}); err != nil {
		return nil, fmt.Errorf("tls: %w", err)
	}
	listener, err := net.Listen("tcp", cfg.Endpoint)
	if err != nil {
		return nil, fmt.Errorf("endpoint: %w; choose a free address", err)
	}
	if err = s.administer(); err != nil {
		return nil, errors.Join(err, listener.Close())
	}
	s.addr = listener.Addr()
	s.group.Go(func() {
		if err := s.server.Serve(listener); err != nil {
			s.failed <- err
		}
	})
	return s, nil
}

// administer serves operators, if that is asked for.
func (s *serving) administer() (err error) {
	c := s.cfg.Admin
	if !isSet(c) {
		return nil
	}
	if s.admin, err = s.endpoint.Admin(endpoint.AdminSettings{
		CertFile: c.TLS.CertFile, KeyFile: c.TLS.KeyFile, ClientCAFile: c.TLS.ClientCAFile,
	}); err != nil {
		return err
	}
	listener, err := net.Listen("tcp", c.Endpoint)
	if err != nil {
		return fmt.Errorf("admin.endpoint: %w; choose a free address", err)
	}
	s.adminAddr = listener.Addr()
	s.group.Go(func() {
		if err := s.admin.Serve(listener); err != nil {
			s.failed <- err
		}
	})
	return nil
}

// settings are those of the endpoint but for authentication.
func (s *serving) settings() (set endpoint.Config, err error) {
	c := s.cfg
	if set.Handle, err = handlerOf(c.Handler); err != nil {
		return set, fmt.Errorf("handler: %w", err)
	}
	if set.Origins, err = wire.ParseOrigins(c.Origins...); err != nil {
		return set, fmt.Errorf("origins: %w", err)
	}
	set.Origins.AllowMissing = c.AllowMissingOrigin
	set.Subprotocols = c.Subprotocols
	if c.Compression {
		set.Deflate = &wire.Deflate{}
	}
	set.InsecureAnonymous = c.InsecureAnonymous
	set.FirstMessage, set.InBandRefresh = c.JWT.FirstMessage, c.JWT.Refresh
	set.Limits = c.Limits.settings()
	t := c.Timeouts
	set.Timeouts = endpoint.Timeouts{
		Auth: t.Auth, Write: t.Write, Close: t.Close, Ping: t.Ping, Pong: t.Pong, Idle: t.Idle, Lifetime: t.Lifetime,
	}
	set.Observer = s.recorder
	set.Vantage = c.Vantage
	set.Resource = c.resource()
	set.Logger = slog.New(relay{to: s.logger})
	if c.KeyFile != "" {
		key, created, err := keyfile.LoadOrCreate(c.KeyFile)
		if err != nil {
			return set, fmt.Errorf("key_file: %w", err)
		}
		if created {
			s.logger.Load().Info("made the installation key; give every collector of the installation the same",
				zap.String("key_file", c.KeyFile))
		}
		set.HashKey = keyfile.Derive(key, source.HandshakePurpose)
	}
	return set, nil
}

func (c *Config) resource() *event.Resource {
	if len(c.Resource) == 0 {
		return nil
	}
	var attrs []event.Named
	for _, name := range slices.Sorted(maps.Keys(c.Resource)) {
		attrs = append(attrs, event.Named{Name: name, Value: event.String(c.Resource[name])})
	}
	return event.NewResource(attrs...)
}

func (r RateConfig) settings() endpoint.Rate {
	return endpoint.Rate{PerSecond: r.PerSecond, Burst: r.Burst}
}

func (i IdentityLimits) settings() endpoint.Quota {
	return endpoint.Quota{
		Connections: i.Connections, Handshakes: i.Handshakes.settings(), Messages: i.Messages.settings(),
		Bytes: i.Bytes.settings(),
	}
}

func (l LimitsConfig) settings() endpoint.Limits {
	set := endpoint.Limits{
		Frames: wire.Limits{MessageBytes: l.MaxMessageBytes}, Connections: l.MaxConnections, Handshakes: l.MaxHandshakes,
		Address: endpoint.Quota{Connections: l.Address.Connections, Handshakes: l.Address.Handshakes.settings()},
		User:    l.User.settings(), Tenant: l.Tenant.settings(),
		Connection: endpoint.Quota{Messages: l.Connection.Messages.settings(), Bytes: l.Connection.Bytes.settings()},
	}
	if l.Excess == excessDrop {
		set.Excess = endpoint.DropOnExcess
	}
	return set
}

// authenticator is nil where everybody is let in.
func (s *serving) authenticator() (auth.Authenticator, error) {
	c := s.cfg
	var all []auth.Authenticator
	if isSet(c.JWT) {
		var keys auth.Keys
		if c.JWT.KeyFile != "" {
			loaded, err := auth.LoadKeys(c.JWT.KeyFile)
			if err != nil {
				return nil, fmt.Errorf("jwt.key_file: %w", err)
			}
			s.keys = auth.NewKeySet(loaded...)
			keys = s.keys
		} else {
			remote, err := auth.NewRemoteKeys(auth.RemoteKeysConfig{URL: c.JWT.JWKSURL, Suspended: s.suspended})
			if err != nil {
				return nil, fmt.Errorf("jwt.jwks_url: %w", err)
			}
			s.remote, keys = remote, remote
		}
		jwt, err := auth.NewJWT(auth.JWTConfig{
			Keys: keys, Algorithms: c.JWT.Algorithms, Issuer: c.JWT.Issuer, Audiences: c.JWT.Audiences,
			Claims: auth.ClaimNames{Tenant: c.JWT.TenantClaim, Tier: c.JWT.TierClaim}, Cookies: c.JWT.Cookie != "",
		})
		if err != nil {
			return nil, fmt.Errorf("jwt: %w", err)
		}
		all = append(all, jwt)
	}
	if c.ClientCertificateName != "" {
		name := auth.CertificateName(c.ClientCertificateName)
		certificates, err := auth.NewCertificates(auth.CertificatesConfig{Name: name})
		if err != nil {
			return nil, fmt.Errorf("client_certificate_name: %w", err)
		}
		all = append(all, certificates)
	}
	switch len(all) {
	case 0:
		return nil, nil
	case 1:
		return all[0], nil
	}
	return auth.Chain(all...), nil
}

// suspended logs that the identity provider is left alone, or that it answers again.
func (s *serving) suspended(on bool) {
	if on {
		s.logger.Load().Warn("the identity provider is in trouble and left alone for a while; known keys still serve")
	} else {
		s.logger.Load().Info("the identity provider answers again")
	}
}

// tickets sets who authenticates, and where credentials may be. It returns what issues tickets, if somebody does.
func (s *serving) tickets(set *endpoint.Config, authenticator auth.Authenticator) (http.Handler, error) {
	c := s.cfg
	if authenticator == nil {
		return nil, nil
	}
	set.Credentials = &auth.Sources{
		Header: isSet(c.JWT), Subprotocol: isSet(c.JWT), Cookie: c.JWT.Cookie, Certificate: c.ClientCertificateName != "",
	}
	set.Authenticator = authenticator
	if c.Tickets.Path == "" {
		return nil, nil
	}
	tickets, err := auth.NewTickets(auth.TicketsConfig{Lifetime: c.Tickets.Lifetime})
	if err != nil {
		return nil, fmt.Errorf("tickets: %w", err)
	}
	set.Credentials.Ticket = "ticket"
	trusted := authenticator
	if s.revocations != nil {
		trusted = s.revocations.Guard(authenticator)
	}
	issuer := &auth.TicketHandler{
		Tickets: tickets, Authenticator: trusted, Sources: auth.Sources{Header: true, Cookie: c.JWT.Cookie},
		Origins: set.Origins, InsecureHTTP: !c.TLS.serves(),
	}
	set.Authenticator = auth.Chain(authenticator, tickets)
	return issuer, nil
}

// reload reads again what the section names and the endpoint does not read by itself.
func (s *serving) reload() {
	if s.keys == nil {
		return
	}
	keys, err := auth.LoadKeys(s.cfg.JWT.KeyFile)
	if err != nil {
		s.logger.Load().Error("jwt.key_file: the keys that were there stay", zap.Error(err))
		return
	}
	s.keys.Replace(keys...)
}

// shutdown closes every connection, as far as ctx allows. All events are with the recorder then.
func (s *serving) shutdown(ctx context.Context) error {
	err := s.server.Shutdown(ctx)
	if s.admin != nil {
		err = errors.Join(err, s.admin.Shutdown(ctx))
	}
	s.release()
	return err
}

// release ends what is not the endpoint.
func (s *serving) release() {
	s.cancel()
	if s.remote != nil {
		s.remote.Close()
	}
	s.group.Wait()
}
