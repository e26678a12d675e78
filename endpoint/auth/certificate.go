package auth

import (
	"context"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"fmt"
	"time"
)

// CertificateName says which name of a client certificate is the subject.
type CertificateName string

// The names that a certificate can have. A subject alternative name is to be preferred: the common name is free text.
const (
	NameURI    CertificateName = "uri" // such as a SPIFFE id
	NameDNS    CertificateName = "dns"
	NameEmail  CertificateName = "email"
	NameCommon CertificateName = "common_name"
)

// CertificatesConfig says which client certificates are accepted. The TLS configuration of the server says whose.
type CertificatesConfig struct {
	// Name is the kind of name that is the subject. A certificate must have exactly one of it. There is no default.
	Name CertificateName
	// Identify, if not nil, makes the identity of a name, such as its tenant, or refuses it by a [Failure]. What it leaves
	// empty is filled in; NotAfter can only be made earlier.
	Identify func(name string, leaf *x509.Certificate) (Identity, error)
	// Now is the clock, time.Now if nil.
	Now func() time.Time
}

// Certificates accepts client certificates that the TLS handshake verified.
type Certificates struct{ config CertificatesConfig }

// NewCertificates returns an Authenticator of client certificates.
func NewCertificates(c CertificatesConfig) (*Certificates, error) {
	switch c.Name {
	case NameURI, NameDNS, NameEmail, NameCommon:
	default:
		return nil, fmt.Errorf("name: must be uri, dns, email or common_name, got %q", c.Name)
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	return &Certificates{c}, nil
}

// Authenticate implements [Authenticator].
func (a *Certificates) Authenticate(_ context.Context, c Credential) (Identity, error) {
	if c.Method != MTLS {
		return Identity{}, MissingCredential
	}
	if c.Request == nil || c.Request.TLS == nil || len(c.Request.TLS.PeerCertificates) == 0 {
		return Identity{}, MissingCertificate
	}
	// A server that only requests certificates takes any: what was verified is in the chains alone.
	chains := c.Request.TLS.VerifiedChains
	if len(chains) == 0 || len(chains[0]) == 0 {
		return Identity{}, UnverifiedCertificate
	}
	leaf := chains[0][0]
	// A resumed session was verified when it began.
	now, end := a.config.Now(), lastDay(chains)
	switch {
	case now.Before(leaf.NotBefore):
		return Identity{}, NotYetValid
	case !now.Before(end):
		return Identity{}, TokenExpired
	}
	name, ok := a.name(leaf)
	if !ok || name == "" || !plain(name, maxNameBytes) {
		return Identity{}, UnnamedCertificate
	}
	var id Identity
	if a.config.Identify != nil {
		var err error
		if id, err = a.config.Identify(name, leaf); err != nil {
			return Identity{}, FailureOf(err)
		}
	}
	if id.Subject == "" {
		id.Subject = name
	}
	if id.TokenID == "" {
		print := sha256.Sum256(leaf.Raw)
		id.TokenID = hex.EncodeToString(print[:])
	}
	if id.IssuedAt.IsZero() {
		id.IssuedAt = leaf.NotBefore
	}
	if id.NotAfter.IsZero() || end.Before(id.NotAfter) {
		id.NotAfter = end
	}
	id.Method = MTLS
	return id, nil
}

// lastDay returns when the longest of the chains ends; a chain ends with the first of its certificates.
func lastDay(chains [][]*x509.Certificate) time.Time {
	var last time.Time
	for _, chain := range chains {
		end := chain[0].NotAfter
		for _, cert := range chain[1:] {
			if cert.NotAfter.Before(end) {
				end = cert.NotAfter
			}
		}
		if end.After(last) {
			last = end
		}
	}
	return last
}

func (a *Certificates) name(leaf *x509.Certificate) (string, bool) {
	switch a.config.Name {
	case NameURI:
		if len(leaf.URIs) == 1 {
			return leaf.URIs[0].String(), true
		}
	case NameDNS:
		return only(leaf.DNSNames)
	case NameEmail:
		return only(leaf.EmailAddresses)
	case NameCommon:
		return leaf.Subject.CommonName, true
	}
	return "", false
}

func only(names []string) (string, bool) {
	if len(names) != 1 {
		return "", false
	}
	return names[0], true
}

// Sessions returns an Authenticator of cookies. lookup returns whose session a cookie's value is, or a [Failure]; what it
// takes counts as waiting for the identity provider. The cookie of a page whose Origin was not checked is refused.
func Sessions(lookup func(ctx context.Context, cookie string) (Identity, error)) Authenticator {
	return AuthenticatorFunc(func(ctx context.Context, c Credential) (Identity, error) {
		if c.Method != Cookie {
			return Identity{}, MissingCredential
		}
		if c.Origin == "" || c.Origin == "null" {
			return Identity{}, UncheckedOrigin
		}
		started := time.Now()
		id, err := lookup(ctx, c.Token)
		c.Wait.Add(time.Since(started))
		switch {
		case err != nil:
			return Identity{}, FailureOf(err)
		case id.Subject == "":
			return Identity{}, MissingSubject
		}
		id.Method = Cookie
		return id, nil
	})
}
