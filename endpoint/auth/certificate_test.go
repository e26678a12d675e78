package auth

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"io"
	"log"
	"math/big"
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// authority signs client certificates.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newAuthority() authority {
	key := must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "ca"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour), KeyUsage: x509.KeyUsageCertSign,
	}
	der := must(x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key))
	return authority{must(x509.ParseCertificate(der)), key}
}

func (a authority) client(change func(*x509.Certificate)) tls.Certificate {
	key := must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	template := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: canary + "-cn"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
		URIs: []*url.URL{must(url.Parse("spiffe://example.org/" + canary))}, DNSNames: []string{canary + ".example.org"},
		EmailAddresses: []string{canary + "@example.org"},
	}
	if change != nil {
		change(template)
	}
	der := must(x509.CreateCertificate(rand.Reader, template, a.cert, &key.PublicKey, a.key))
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

func TestCertificates(t *testing.T) {
	t.Parallel()
	ca, stranger := newAuthority(), newAuthority()
	good := ca.client(nil)
	for sentence, test := range map[string]struct {
		name    CertificateName
		request tls.ClientAuthType
		client  *tls.Certificate
		now     time.Duration
		want    error
		subject string
	}{
		"the URI":                            {NameURI, tls.RequireAndVerifyClientCert, &good, 0, nil, "spiffe://example.org/" + canary},
		"the DNS name":                       {NameDNS, tls.VerifyClientCertIfGiven, &good, 0, nil, canary + ".example.org"},
		"the address":                        {NameEmail, tls.VerifyClientCertIfGiven, &good, 0, nil, canary + "@example.org"},
		"the common name":                    {NameCommon, tls.VerifyClientCertIfGiven, &good, 0, nil, canary + "-cn"},
		"no certificate":                     {NameURI, tls.VerifyClientCertIfGiven, nil, 0, MissingCredential, ""},
		"one that was not verified":          {NameURI, tls.RequestClientCert, &good, 0, UnverifiedCertificate, ""},
		"a stranger's that was not verified": {NameURI, tls.RequireAnyClientCert, ref(stranger.client(nil)), 0, UnverifiedCertificate, ""},
		"one that has ended since":           {NameURI, tls.RequireAndVerifyClientCert, &good, 2 * time.Hour, TokenExpired, ""},
		"one that has not begun":             {NameURI, tls.RequireAndVerifyClientCert, &good, -2 * time.Hour, NotYetValid, ""},
		"two URIs": {NameURI, tls.RequireAndVerifyClientCert, ref(ca.client(func(c *x509.Certificate) {
			c.URIs = append(c.URIs, must(url.Parse("spiffe://example.org/root")))
		})), 0, UnnamedCertificate, ""},
		"no URI":           {NameURI, tls.RequireAndVerifyClientCert, ref(ca.client(func(c *x509.Certificate) { c.URIs = nil })), 0, UnnamedCertificate, ""},
		"two DNS names":    {NameDNS, tls.RequireAndVerifyClientCert, ref(ca.client(func(c *x509.Certificate) { c.DNSNames = append(c.DNSNames, "root") })), 0, UnnamedCertificate, ""},
		"no common name":   {NameCommon, tls.RequireAndVerifyClientCert, ref(ca.client(func(c *x509.Certificate) { c.Subject = pkix.Name{} })), 0, UnnamedCertificate, ""},
		"a line end in it": {NameCommon, tls.RequireAndVerifyClientCert, ref(ca.client(func(c *x509.Certificate) { c.Subject.CommonName = "a\nb" })), 0, UnnamedCertificate, ""},
	} {
		t.Run(sentence, func(t *testing.T) {
			t.Parallel()
			a, err := NewCertificates(CertificatesConfig{Name: test.name, Now: func() time.Time { return time.Now().Add(test.now) }})
			require.NoError(t, err)
			id, err := overTLS(t, ca, test.request, test.client, a)
			if test.want != nil {
				require.Equal(t, test.want, err)
				require.NotContains(t, err.Error(), canary)
				return
			}
			require.NoError(t, err)
			require.Equal(t, test.subject, id.Subject)
			require.Len(t, id.TokenID, 64)
			require.Equal(t, MTLS, id.Method)
			require.WithinDuration(t, time.Now().Add(time.Hour), id.NotAfter, time.Minute)
		})
	}
}

func TestCertificatesAreIdentifiedByTheUser(t *testing.T) {
	t.Parallel()
	ca := newAuthority()
	good := ca.client(nil)
	soon := time.Now().Add(time.Minute)
	for sentence, test := range map[string]struct {
		id   Identity
		err  error
		want error
	}{
		"a tenant and an earlier end": {Identity{Tenant: "acme", NotAfter: soon}, nil, nil},
		"a refusal":                   {Identity{}, NotAllowed, NotAllowed},
		"an error with a secret":      {Identity{}, errors.New(canary), Internal},
	} {
		t.Run(sentence, func(t *testing.T) {
			t.Parallel()
			a, err := NewCertificates(CertificatesConfig{Name: NameURI, Identify: func(string, *x509.Certificate) (Identity, error) { return test.id, test.err }})
			require.NoError(t, err)
			id, err := overTLS(t, ca, tls.RequireAndVerifyClientCert, &good, a)
			require.Equal(t, test.want, err)
			if err == nil {
				require.Equal(t, "acme", id.Tenant)
				require.Equal(t, "spiffe://example.org/"+canary, id.Subject)
				require.True(t, soon.Equal(id.NotAfter))
			}
		})
	}
	_, err := NewCertificates(CertificatesConfig{})
	require.EqualError(t, err, `name: must be uri, dns, email or common_name, got ""`)
	a := must(NewCertificates(CertificatesConfig{Name: NameURI}))
	_, err = a.Authenticate(t.Context(), Credential{Method: MTLS})
	require.Equal(t, MissingCertificate, err)
	_, err = a.Authenticate(t.Context(), Credential{Method: Bearer})
	require.Equal(t, MissingCredential, err)
}

// overTLS connects a client to a real server, and has a authenticate what the server sees of it.
func overTLS(t *testing.T, ca authority, request tls.ClientAuthType, client *tls.Certificate, a Authenticator) (id Identity, err error) {
	t.Helper()
	pool := x509.NewCertPool()
	pool.AddCert(ca.cert)
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		var c Credential
		if c, err = (Sources{Certificate: true}).FromRequest(r, ""); err == nil {
			id, err = a.Authenticate(r.Context(), c)
		}
	}))
	s.TLS = &tls.Config{ClientAuth: request, ClientCAs: pool}
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.StartTLS()
	defer s.Close()
	web := s.Client()
	if client != nil {
		web.Transport.(*http.Transport).TLSClientConfig.Certificates = []tls.Certificate{*client}
	}
	resp, failed := web.Get(s.URL)
	require.NoError(t, failed)
	resp.Body.Close()
	return id, err
}

func ref[T any](v T) *T { return &v }

func TestSessions(t *testing.T) {
	t.Parallel()
	a := Sessions(func(_ context.Context, cookie string) (Identity, error) {
		switch cookie {
		case "none":
			return Identity{}, nil
		case "slow":
			return Identity{}, fmt.Errorf(canary+": %w", context.DeadlineExceeded)
		case "down":
			return Identity{}, ProviderUnavailable
		case "broken":
			return Identity{}, errors.New(canary)
		}
		return Identity{Subject: cookie}, nil
	})
	for sentence, test := range map[string]struct {
		c    Credential
		want error
	}{
		"a session":                       {Credential{Method: Cookie, Token: "alice", Origin: page}, nil},
		"no Origin":                       {Credential{Method: Cookie, Token: "alice"}, UncheckedOrigin},
		"an opaque Origin":                {Credential{Method: Cookie, Token: "alice", Origin: "null"}, UncheckedOrigin},
		"a session of nobody":             {Credential{Method: Cookie, Token: "none", Origin: page}, MissingSubject},
		"a store that is slow":            {Credential{Method: Cookie, Token: "slow", Origin: page}, ProviderTimeout},
		"a store that is down":            {Credential{Method: Cookie, Token: "down", Origin: page}, ProviderUnavailable},
		"a store that says too much":      {Credential{Method: Cookie, Token: "broken", Origin: page}, Internal},
		"a cookie's value in the request": {Credential{Method: Bearer, Token: "alice", Origin: page}, MissingCredential},
	} {
		t.Run(sentence, func(t *testing.T) {
			t.Parallel()
			var w Wait
			test.c.Wait = &w
			id, err := a.Authenticate(t.Context(), test.c)
			require.Equal(t, test.want, err)
			if err == nil {
				require.Equal(t, Identity{Subject: "alice", Method: Cookie}, id)
				require.Positive(t, w.Duration())
			}
		})
	}
}
