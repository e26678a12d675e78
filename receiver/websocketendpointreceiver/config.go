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

	"github.com/sockeye-project/sockeye/endpoint"
	"github.com/sockeye-project/sockeye/endpoint/auth"
	"github.com/sockeye-project/sockeye/endpoint/content"
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

	// TrustedProxies are the addresses and networks of proxies whose word is taken for where a client is.
	TrustedProxies []string `mapstructure:"trusted_proxies"`
	// ProxyHeader is the field in which they say so.
	ProxyHeader string `mapstructure:"proxy_header"`
	// ProxyProtocol expects a PROXY header on each of their connections.
	ProxyProtocol bool `mapstructure:"proxy_protocol"`

	// JWT accepts tokens.
	JWT JWTConfig `mapstructure:"jwt"`
	// ClientCertificateName is which name of a client certificate says who the client is; "" takes none for that.
	ClientCertificateName string `mapstructure:"client_certificate_name"`
	// Tickets issues single-use tickets for tokens, and accepts them.
	Tickets TicketsConfig `mapstructure:"tickets"`
	// RevocationsFile has what was revoked, one JSON object a line.
	RevocationsFile string `mapstructure:"revocations_file"`
	// SignedMessages has every message signed.
	SignedMessages SignedMessagesConfig `mapstructure:"signed_messages"`
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
	// Content says what messages may hold.
	Content ContentConfig `mapstructure:"content"`
	// Handler is what becomes of messages.
	Handler string `mapstructure:"handler"`

	// Admin serves operators, where its endpoint is set.
	Admin AdminConfig `mapstructure:"admin"`

	Limits   LimitsConfig   `mapstructure:"limits"`
	Timeouts TimeoutsConfig `mapstructure:"timeouts"`

	// Traces says which handshakes and messages have spans, where the receiver is in a pipeline of traces.
	Traces TracesConfig `mapstructure:"traces"`
	// PayloadSamples keeps the beginning of some messages that could not be parsed.
	PayloadSamples PayloadSamplesConfig `mapstructure:"payload_samples"`
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

// SignedMessagesConfig turns signatures on where SecretsFile is set.
type SignedMessagesConfig struct {
	// SecretsFile has the secrets of clients, one JSON object a line.
	SecretsFile string `mapstructure:"secrets_file"`

	// prevent unkeyed literal initialization
	_ struct{}
}

// ContentConfig turns the checking of messages on where Directory is set.
type ContentConfig struct {
	// Directory has a manifest and schemas, as docs/content.md describes them.
	Directory string `mapstructure:"directory"`

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
	// Tiers replace User, Tenant and Connection for identities of a tier; what is 0 there is as above.
	Tiers map[string]TierLimits `mapstructure:"tiers"`
	// Period is how long an allowance is for.
	Period time.Duration `mapstructure:"period"`
	// MaxAddresses, MaxUsers and MaxTenants are how many are remembered.
	MaxAddresses int `mapstructure:"max_addresses"`
	MaxUsers     int `mapstructure:"max_users"`
	MaxTenants   int `mapstructure:"max_tenants"`

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
	Connections int             `mapstructure:"connections"`
	Handshakes  RateConfig      `mapstructure:"handshakes"`
	Messages    RateConfig      `mapstructure:"messages"`
	Bytes       RateConfig      `mapstructure:"bytes"`
	Allowance   AllowanceConfig `mapstructure:"allowance"`

	// prevent unkeyed literal initialization
	_ struct{}
}

// ConnectionLimits are for one connection.
type ConnectionLimits struct {
	Messages  RateConfig      `mapstructure:"messages"`
	Bytes     RateConfig      `mapstructure:"bytes"`
	Allowance AllowanceConfig `mapstructure:"allowance"`

	// prevent unkeyed literal initialization
	_ struct{}
}

// AllowanceConfig is what may be sent in a period.
type AllowanceConfig struct {
	Messages int64 `mapstructure:"messages"`
	Bytes    int64 `mapstructure:"bytes"`

	// prevent unkeyed literal initialization
	_ struct{}
}

// TierLimits are for identities of a tier.
type TierLimits struct {
	User       IdentityLimits   `mapstructure:"user"`
	Tenant     IdentityLimits   `mapstructure:"tenant"`
	Connection ConnectionLimits `mapstructure:"connection"`

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
	// maxRemembered is about 1.5 GiB.
	maxRemembered = 10_000_000
)

// isSet reports whether a section has anything.
func isSet(section any) bool { return !reflect.ValueOf(section).IsZero() }

var _ confmap.Validator = (*Config)(nil)

// Validate reports all that is wrong, each fault by its key.
func (c *Config) Validate() error {
	var f faults
	c.validateAddress(&f)
	c.validateProxies(&f)
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
	if c.Content.Directory != "" {
		var all content.Faults
		if _, err := content.Load(c.Content.Directory); errors.As(err, &all) {
			for _, fault := range all {
				f.add("content.directory", "%s", fault)
			}
		} else if err != nil {
			f.add("content.directory", "%w", err)
		}
	}
	c.Limits.validate(&f)
	c.Timeouts.validate(&f)
	c.Traces.validate(&f)
	c.PayloadSamples.validate(&f)
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

// prefix reads an address or a network.
func prefix(s string) (netip.Prefix, error) {
	if p, err := netip.ParsePrefix(s); err == nil {
		if p.Bits() == 0 {
			return p, fmt.Errorf("%q would trust everybody", s)
		}
		return p, nil
	}
	a, err := netip.ParseAddr(s)
	if err != nil || a.Zone() != "" {
		return netip.Prefix{}, fmt.Errorf("%q must be an address or a network, such as 10.0.0.0/8", s)
	}
	return netip.PrefixFrom(a, a.BitLen()), nil
}

func (c *Config) validateProxies(f *faults) {
	for _, s := range c.TrustedProxies {
		if _, err := prefix(s); err != nil {
			f.add("trusted_proxies", "%w", err)
		}
	}
	if c.ProxyHeader != endpoint.XForwardedFor && c.ProxyHeader != endpoint.Forwarded {
		f.add("proxy_header", "must be %s or %s, got %q", endpoint.XForwardedFor, endpoint.Forwarded, c.ProxyHeader)
	}
	if c.ProxyProtocol && len(c.TrustedProxies) == 0 {
		f.add("proxy_protocol", "needs trusted_proxies")
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
	if len(c.Limits.Tiers) > 0 && c.JWT.TierClaim == "" {
		f.add("limits.tiers", "need jwt.tier_claim, the claim that has a client's tier")
	}
	if c.SignedMessages.SecretsFile != "" && !c.authenticates() {
		f.add("signed_messages", "need jwt or client_certificate_name")
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
	f.positive("limits.period", l.Period)
	f.within("limits.max_addresses", l.MaxAddresses, 1, maxRemembered)
	f.within("limits.max_users", l.MaxUsers, 1, maxRemembered)
	f.within("limits.max_tenants", l.MaxTenants, 1, maxRemembered)
	v := limitFaults{faults: f}
	v.connections("limits.address.connections", l.Address.Connections)
	v.rate("limits.address.handshakes", l.Address.Handshakes)
	v.all("limits", TierLimits{User: l.User, Tenant: l.Tenant, Connection: l.Connection})
	v.inherits = true
	for _, name := range slices.Sorted(maps.Keys(l.Tiers)) {
		if name == "" {
			f.add("limits.tiers", "a tier must have a name")
		}
		v.all("limits.tiers."+name, l.Tiers[name])
	}
}

// limitFaults finds what is wrong with limits. Where they inherit, 0 is what stands above.
type limitFaults struct {
	*faults
	inherits bool
}

func (v limitFaults) all(key string, t TierLimits) {
	for _, i := range []struct {
		key    string
		limits IdentityLimits
	}{{key + ".user", t.User}, {key + ".tenant", t.Tenant}} {
		v.connections(i.key+".connections", i.limits.Connections)
		v.rate(i.key+".handshakes", i.limits.Handshakes)
		v.rate(i.key+".messages", i.limits.Messages)
		v.rate(i.key+".bytes", i.limits.Bytes)
		v.allowance(i.key+".allowance", i.limits.Allowance)
	}
	v.rate(key+".connection.messages", t.Connection.Messages)
	v.rate(key+".connection.bytes", t.Connection.Bytes)
	v.allowance(key+".connection.allowance", t.Connection.Allowance)
}

func (v limitFaults) connections(key string, n int) { v.count(key, int64(n)) }

func (v limitFaults) count(key string, n int64) {
	if n < -1 || n == 0 && !v.inherits {
		v.add(key, "must be at least 1, or -1 for no limit, got %d", n)
	}
}

func (v limitFaults) allowance(key string, a AllowanceConfig) {
	v.count(key+".messages", a.Messages)
	v.count(key+".bytes", a.Bytes)
}

func (v limitFaults) rate(key string, r RateConfig) {
	inherited := v.inherits && r.PerSecond == 0
	if !(r.PerSecond > 0) && r.PerSecond != -1 && !inherited {
		v.add(key+".per_second", "must be above 0, or -1 for no limit, got %v", r.PerSecond)
	}
	if !(r.Burst >= 0) {
		v.add(key+".burst", "must be at least 0, which is one second's worth, got %v", r.Burst)
	} else if inherited && r.Burst > 0 {
		v.add(key+".burst", "needs per_second")
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
