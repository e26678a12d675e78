package websocketendpointreceiver

import (
	"errors"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"net/url"
	"reflect"
	"slices"
	"strings"
	"time"

	"go.opentelemetry.io/collector/confmap"

	"github.com/sockeye-project/sockeye/endpoint/auth"
	"github.com/sockeye-project/sockeye/event"
	"github.com/sockeye-project/sockeye/wire"
)

// Config is the YAML of one websocketendpoint receiver. Defaults are in createDefaultConfig.
type Config struct {
	// Endpoint is the address to serve at, host:port.
	Endpoint string `mapstructure:"endpoint"`
	// Path is the URL path of handshakes; others are answered 404.
	Path string `mapstructure:"path"`
	// TLS is required, unless the address is a loopback one or InsecurePlaintext is set.
	TLS TLSConfig `mapstructure:"tls"`
	// InsecurePlaintext serves ws:// at an address that others can reach, such as behind a proxy that ends TLS.
	InsecurePlaintext bool `mapstructure:"insecure_plaintext"`

	// JWT accepts tokens.
	JWT JWTConfig `mapstructure:"jwt"`
	// ClientCertificateName is which name of a client certificate says who the client is; "" takes none for that.
	ClientCertificateName string `mapstructure:"client_certificate_name"`
	// Tickets issues single-use tickets for tokens, and accepts them.
	Tickets TicketsConfig `mapstructure:"tickets"`
	// RevocationsFile has what was revoked, one JSON object a line.
	RevocationsFile string `mapstructure:"revocations_file"`
	// InsecureAnonymous lets everybody in, where nothing above says who may.
	InsecureAnonymous bool `mapstructure:"insecure_anonymous"`

	// Origins are the pages that may connect besides those of the same origin.
	Origins []string `mapstructure:"origins"`
	// AllowMissingOrigin lets clients in that are no browsers.
	AllowMissingOrigin bool `mapstructure:"allow_missing_origin"`
	// Subprotocols are those spoken, the most wanted first.
	Subprotocols []string `mapstructure:"subprotocols"`
	// Compression agrees on permessage-deflate with clients that offer it.
	Compression bool `mapstructure:"compression"`
	// Handler is what becomes of messages.
	Handler string `mapstructure:"handler"`

	// Admin serves operators, where its endpoint is set.
	Admin AdminConfig `mapstructure:"admin"`

	Limits   LimitsConfig   `mapstructure:"limits"`
	Timeouts TimeoutsConfig `mapstructure:"timeouts"`

	// Vantage says where the endpoint stands.
	Vantage string `mapstructure:"vantage"`
	// Resource is on every event, such as service.name.
	Resource map[string]string `mapstructure:"resource"`
	// KeyFile holds the installation key. It is made if it is missing.
	KeyFile string `mapstructure:"key_file"`

	// Chunk bounds what is stored as one.
	Chunk ChunkConfig `mapstructure:"chunk"`
	// MaxWaitingEvents bounds what waits for the pipeline, in memory.
	MaxWaitingEvents int `mapstructure:"max_waiting_events"`
	// SourceName names this source in the store's progress table; it must differ between hosts.
	SourceName string `mapstructure:"source_name"`
	// ProgressInterval is how often the source says how far it has been stored.
	ProgressInterval time.Duration `mapstructure:"progress_interval"`

	// prevent unkeyed literal initialization
	_ struct{}
}

// TLSConfig is TLS 1.2 or later. The files of the certificate are read again when they change.
type TLSConfig struct {
	CertFile          string `mapstructure:"cert_file"`
	KeyFile           string `mapstructure:"key_file"`
	ClientCAFile      string `mapstructure:"client_ca_file"`
	RequireClientCert bool   `mapstructure:"require_client_cert"`

	// prevent unkeyed literal initialization
	_ struct{}
}

// AdminConfig is the operators' side: at a loopback address, or with TLS and certificates of operators.
type AdminConfig struct {
	Endpoint string         `mapstructure:"endpoint"`
	TLS      AdminTLSConfig `mapstructure:"tls"`

	// prevent unkeyed literal initialization
	_ struct{}
}

// AdminTLSConfig has all three files or none.
type AdminTLSConfig struct {
	CertFile     string `mapstructure:"cert_file"`
	KeyFile      string `mapstructure:"key_file"`
	ClientCAFile string `mapstructure:"client_ca_file"`

	// prevent unkeyed literal initialization
	_ struct{}
}

// JWTConfig says which tokens are accepted, and where they may be.
type JWTConfig struct {
	Issuer     string   `mapstructure:"issuer"`
	Audiences  []string `mapstructure:"audiences"`
	Algorithms []string `mapstructure:"algorithms"`
	// JWKSURL is where the issuer publishes its keys; KeyFile has keys instead, as JWK Set or PEM.
	JWKSURL string `mapstructure:"jwks_url"`
	KeyFile string `mapstructure:"key_file"`
	// TenantClaim and TierClaim name the claims with the tenant and the tier.
	TenantClaim string `mapstructure:"tenant_claim"`
	TierClaim   string `mapstructure:"tier_claim"`
	// Cookie is the name of a cookie that may have the token.
	Cookie string `mapstructure:"cookie"`
	// FirstMessage lets the first message have the token.
	FirstMessage bool `mapstructure:"first_message"`
	// Refresh lets later messages have a new token.
	Refresh bool `mapstructure:"refresh"`

	// prevent unkeyed literal initialization
	_ struct{}
}

// TicketsConfig turns tickets on where Path is set.
type TicketsConfig struct {
	Path     string        `mapstructure:"path"`
	Lifetime time.Duration `mapstructure:"lifetime"`

	// prevent unkeyed literal initialization
	_ struct{}
}

// LimitsConfig bounds what clients may do. -1 is no limit.
type LimitsConfig struct {
	MaxConnections  int   `mapstructure:"max_connections"`
	MaxHandshakes   int   `mapstructure:"max_handshakes"`
	MaxMessageBytes int64 `mapstructure:"max_message_bytes"`
	// Excess is what happens to a message over its rate: close or drop.
	Excess     string           `mapstructure:"excess"`
	Address    AddressLimits    `mapstructure:"address"`
	User       IdentityLimits   `mapstructure:"user"`
	Tenant     IdentityLimits   `mapstructure:"tenant"`
	Connection ConnectionLimits `mapstructure:"connection"`

	// prevent unkeyed literal initialization
	_ struct{}
}

// RateConfig is a token bucket: Burst at once, PerSecond in the long run.
type RateConfig struct {
	PerSecond float64 `mapstructure:"per_second"`
	Burst     float64 `mapstructure:"burst"`

	// prevent unkeyed literal initialization
	_ struct{}
}

// AddressLimits are for a client's address.
type AddressLimits struct {
	Connections int        `mapstructure:"connections"`
	Handshakes  RateConfig `mapstructure:"handshakes"`

	// prevent unkeyed literal initialization
	_ struct{}
}

// IdentityLimits are for one user, or one tenant.
type IdentityLimits struct {
	Connections int        `mapstructure:"connections"`
	Handshakes  RateConfig `mapstructure:"handshakes"`
	Messages    RateConfig `mapstructure:"messages"`
	Bytes       RateConfig `mapstructure:"bytes"`

	// prevent unkeyed literal initialization
	_ struct{}
}

// ConnectionLimits are for one connection.
type ConnectionLimits struct {
	Messages RateConfig `mapstructure:"messages"`
	Bytes    RateConfig `mapstructure:"bytes"`

	// prevent unkeyed literal initialization
	_ struct{}
}

// TimeoutsConfig bounds how long things may take.
type TimeoutsConfig struct {
	Auth  time.Duration `mapstructure:"auth"`
	Write time.Duration `mapstructure:"write"`
	Close time.Duration `mapstructure:"close"`
	// Ping, Idle and Lifetime may be negative, which is never.
	Ping     time.Duration `mapstructure:"ping"`
	Pong     time.Duration `mapstructure:"pong"`
	Idle     time.Duration `mapstructure:"idle"`
	Lifetime time.Duration `mapstructure:"lifetime"`
	// Shutdown is how long connections may take to close, and events to be stored, when the collector ends.
	Shutdown time.Duration `mapstructure:"shutdown"`

	// prevent unkeyed literal initialization
	_ struct{}
}

// ChunkConfig bounds a chunk: the records that are acknowledged and stored as one.
type ChunkConfig struct {
	MaxRecords int           `mapstructure:"max_records"`
	MaxAge     time.Duration `mapstructure:"max_age"`

	// prevent unkeyed literal initialization
	_ struct{}
}

// Bounds.
const (
	// maxChunkRecords is what one INSERT holds; the deduplication of the store counts on it.
	maxChunkRecords = 50_000
	// maxWaitingEvents is about 1 GiB.
	maxWaitingEvents = 1_000_000
)

// isSet reports whether a section has anything.
func isSet(section any) bool { return !reflect.ValueOf(section).IsZero() }

var _ confmap.Validator = (*Config)(nil)

// Validate reports all that is wrong, each fault by its key.
func (c *Config) Validate() error {
	var f faults
	c.validateAddress(&f)
	c.validateAuth(&f)
	c.validateAdmin(&f)
	if _, err := wire.ParseOrigins(c.Origins...); err != nil {
		f.add("origins", "%w", err)
	}
	for _, p := range c.Subprotocols {
		if one, err := wire.ParseSubprotocols([]string{p}); err != nil || !slices.Equal(one, []string{p}) {
			f.add("subprotocols", "%q is not a name of a subprotocol (RFC 6455 §4.1)", p)
		}
	}
	if _, err := handlerOf(c.Handler); err != nil {
		f.add("handler", "%w", err)
	}
	c.Limits.validate(&f)
	c.Timeouts.validate(&f)
	vantages := []string{event.VantageEdge, event.VantageGateway, event.VantageApp}
	if !slices.Contains(vantages, c.Vantage) {
		f.add("vantage", "must be one of %s, got %q", strings.Join(vantages, ", "), c.Vantage)
	}
	for _, name := range slices.Sorted(maps.Keys(c.Resource)) {
		if name == "" || c.Resource[name] == "" {
			f.add("resource", "%q must have a name and a value", name)
		}
	}
	f.within("chunk.max_records", c.Chunk.MaxRecords, 1, maxChunkRecords)
	f.positive("chunk.max_age", c.Chunk.MaxAge)
	f.within("max_waiting_events", c.MaxWaitingEvents, 1000, maxWaitingEvents)
	if len(c.SourceName) > event.MaxLowBytes {
		f.add("source_name", "must have at most %d bytes, got %d", event.MaxLowBytes, len(c.SourceName))
	}
	f.positive("progress_interval", c.ProgressInterval)
	return errors.Join(f...)
}

type faults []error

func (f *faults) add(key, text string, args ...any) {
	*f = append(*f, fmt.Errorf(key+": "+text, args...))
}

func (f *faults) positive(key string, got time.Duration) {
	if got <= 0 {
		f.add(key, "must be longer than 0s, got %s", got)
	}
}

func (f *faults) within(key string, got, least, most int) {
	if got < least || got > most {
		f.add(key, "must be from %d to %d, got %d", least, most, got)
	}
}

func (c *Config) validateAddress(f *faults) {
	host, _, err := net.SplitHostPort(c.Endpoint)
	if err != nil {
		f.add("endpoint", "must be host:port, for example 127.0.0.1:8443")
	} else if !c.TLS.serves() && !c.InsecurePlaintext && !loopback(host) {
		f.add("tls", "set cert_file and key_file; or, where a proxy in front ends TLS, insecure_plaintext")
	}
	if c.TLS.serves() && c.InsecurePlaintext {
		f.add("insecure_plaintext", "is of no use with tls; leave it out")
	}
	if (c.TLS.CertFile == "") != (c.TLS.KeyFile == "") {
		f.add("tls", "cert_file and key_file must both be set")
	}
	if c.TLS.ClientCAFile != "" && !c.TLS.serves() {
		f.add("tls.client_ca_file", "needs cert_file and key_file")
	}
	if c.TLS.RequireClientCert && c.TLS.ClientCAFile == "" {
		f.add("tls.require_client_cert", "needs client_ca_file")
	}
	if !strings.HasPrefix(c.Path, "/") {
		f.add("path", "must begin with /, got %q", c.Path)
	}
}

func (t *TLSConfig) serves() bool { return t.CertFile != "" || t.KeyFile != "" }

func loopback(host string) bool {
	addr, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && addr.IsLoopback()
}

func (c *Config) authenticates() bool { return isSet(c.JWT) || c.ClientCertificateName != "" }

func (c *Config) validateAuth(f *faults) {
	if c.authenticates() == c.InsecureAnonymous {
		if c.InsecureAnonymous {
			f.add("insecure_anonymous", "leave it out: jwt or client_certificate_name say who may connect")
		} else {
			f.add("jwt", "say who may connect here or by client_certificate_name; or let everybody in with insecure_anonymous")
		}
	}
	if isSet(c.JWT) {
		if (c.JWT.JWKSURL == "") == (c.JWT.KeyFile == "") {
			f.add("jwt", "set one of jwks_url and key_file")
		}
		if c.JWT.Issuer == "" {
			f.add("jwt.issuer", "must be set: what the claim iss must be")
		}
		if len(c.JWT.Audiences) == 0 {
			f.add("jwt.audiences", "must name one: what the claim aud must have")
		}
		if len(c.JWT.Algorithms) == 0 {
			f.add("jwt.algorithms", "must name one, such as ES256")
		} else if _, err := auth.NewJWT(auth.JWTConfig{
			Keys: auth.NewKeySet(), Algorithms: c.JWT.Algorithms, Issuer: "-", Audiences: []string{"-"},
		}); err != nil {
			f.add("jwt.algorithms", "%w", err)
		}
		if c.JWT.JWKSURL != "" && !trustworthy(c.JWT.JWKSURL) {
			f.add("jwt.jwks_url", "must be an https URL without a user")
		}
	}
	switch auth.CertificateName(c.ClientCertificateName) {
	case "", auth.NameURI, auth.NameDNS, auth.NameEmail, auth.NameCommon:
	default:
		f.add("client_certificate_name", "must be uri, dns, email or common_name, got %q", c.ClientCertificateName)
	}
	if c.ClientCertificateName != "" && c.TLS.ClientCAFile == "" {
		f.add("client_certificate_name", "needs tls.client_ca_file")
	}
	if t := c.Tickets; t.Path != "" {
		if !isSet(c.JWT) {
			f.add("tickets", "need jwt, for which they are given")
		}
		if !strings.HasPrefix(t.Path, "/") || t.Path == c.Path {
			f.add("tickets.path", "must begin with / and not be that of handshakes, got %q", t.Path)
		}
		if t.Lifetime < time.Second || t.Lifetime > 5*time.Minute {
			f.add("tickets.lifetime", "must be from 1s to 5m, got %s", t.Lifetime)
		}
	}
	if c.RevocationsFile != "" && !c.authenticates() {
		f.add("revocations_file", "needs jwt or client_certificate_name")
	}
}

func (c *Config) validateAdmin(f *faults) {
	if !isSet(c.Admin) {
		return
	}
	t := c.Admin.TLS
	host, _, err := net.SplitHostPort(c.Admin.Endpoint)
	switch {
	case err != nil:
		f.add("admin.endpoint", "must be host:port, for example 127.0.0.1:8444")
	case c.Admin.Endpoint == c.Endpoint:
		f.add("admin.endpoint", "must be another than endpoint, which clients reach")
	case !isSet(t) && !loopback(host):
		f.add("admin.endpoint", "must be a loopback address, or give tls, with certificates that operators must have")
	}
	if isSet(t) && (t.CertFile == "" || t.KeyFile == "" || t.ClientCAFile == "") {
		f.add("admin.tls", "cert_file, key_file and client_ca_file must all be set")
	}
	if t.ClientCAFile != "" && t.ClientCAFile == c.TLS.ClientCAFile {
		f.add("admin.tls.client_ca_file", "must be another than tls.client_ca_file, or every client is an operator")
	}
	if c.KeyFile == "" {
		f.add("admin", "needs key_file, since it names users by user.hash")
	}
}

// trustworthy reports whether keys that come from there are the issuer's.
func trustworthy(address string) bool {
	u, err := url.Parse(address)
	if err != nil || u.Host == "" || u.User != nil {
		return false
	}
	return u.Scheme == "https" || u.Scheme == "http" && loopback(u.Hostname())
}

func (l *LimitsConfig) validate(f *faults) {
	f.within("limits.max_connections", l.MaxConnections, 1, 10_000_000)
	f.within("limits.max_handshakes", l.MaxHandshakes, 1, 1_000_000)
	f.within("limits.max_message_bytes", int(l.MaxMessageBytes), 1, 1<<30)
	if l.Excess != excessClose && l.Excess != excessDrop {
		f.add("limits.excess", "must be %s or %s, got %q", excessClose, excessDrop, l.Excess)
	}
	for _, c := range []struct {
		key string
		n   int
	}{{"address", l.Address.Connections}, {"user", l.User.Connections}, {"tenant", l.Tenant.Connections}} {
		if c.n < -1 || c.n == 0 {
			f.add("limits."+c.key+".connections", "must be at least 1, or -1 for no limit, got %d", c.n)
		}
	}
	for _, r := range []struct {
		key  string
		rate RateConfig
	}{
		{"address.handshakes", l.Address.Handshakes},
		{"user.handshakes", l.User.Handshakes}, {"user.messages", l.User.Messages}, {"user.bytes", l.User.Bytes},
		{"tenant.handshakes", l.Tenant.Handshakes}, {"tenant.messages", l.Tenant.Messages}, {"tenant.bytes", l.Tenant.Bytes},
		{"connection.messages", l.Connection.Messages}, {"connection.bytes", l.Connection.Bytes},
	} {
		if p := r.rate.PerSecond; !(p > 0) && p != -1 {
			f.add("limits."+r.key+".per_second", "must be above 0, or -1 for no limit, got %v", p)
		}
		if !(r.rate.Burst >= 0) {
			f.add("limits."+r.key+".burst", "must be at least 0, which is one second's worth, got %v", r.rate.Burst)
		}
	}
}

// Values of limits.excess.
const (
	excessClose = "close"
	excessDrop  = "drop"
)

func (t *TimeoutsConfig) validate(f *faults) {
	f.positive("timeouts.auth", t.Auth)
	f.positive("timeouts.write", t.Write)
	f.positive("timeouts.close", t.Close)
	f.positive("timeouts.pong", t.Pong)
	f.positive("timeouts.shutdown", t.Shutdown)
	for _, d := range []struct {
		key string
		d   time.Duration
	}{{"ping", t.Ping}, {"idle", t.Idle}, {"lifetime", t.Lifetime}} {
		if d.d == 0 {
			f.add("timeouts."+d.key, "must be longer than 0s, or negative for never, got 0s")
		}
	}
}
