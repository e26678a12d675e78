package websocketendpointreceiver

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/stretchr/testify/require"

	"github.com/sockeye-project/sockeye/event"
)

// selfSigned makes a certificate that is its own authority, and writes it with its key.
func selfSigned(t *testing.T, name string) (file string, pair tls.Certificate) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
		DNSNames: []string{name}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	require.NoError(t, err)
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	require.NoError(t, err)
	certificate := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	private := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret})
	pair, err = tls.X509KeyPair(certificate, private)
	require.NoError(t, err)
	file = filepath.Join(t.TempDir(), "pair.pem")
	require.NoError(t, os.WriteFile(file, append(certificate, private...), 0o600))
	return file, pair
}

func TestClientCertificatesLetClientsIn(t *testing.T) {
	t.Parallel()
	server, serverPair := selfSigned(t, "chat.example.test")
	clients, clientPair := selfSigned(t, "robot.example.test")
	_, stranger := selfSigned(t, "robot.example.test")
	cfg, next := testConfig(), &sink{}
	cfg.InsecureAnonymous = false
	cfg.TLS = TLSConfig{CertFile: server, KeyFile: server, ClientCAFile: clients}
	cfg.ClientCertificateName = "dns"
	require.NoError(t, cfg.Validate())
	r := start(t, idOf(t), cfg, next, false)
	roots := x509.NewCertPool()
	roots.AddCert(serverPair.Leaf)
	dialWith := func(pairs ...tls.Certificate) (*websocket.Conn, *http.Response, error) {
		transport := &http.Transport{
			DisableKeepAlives: true, TLSClientConfig: &tls.Config{RootCAs: roots, Certificates: pairs},
		}
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		t.Cleanup(cancel)
		c, resp, err := websocket.Dial(ctx, strings.Replace(r.url(), "ws://", "wss://", 1),
			&websocket.DialOptions{HTTPClient: &http.Client{Transport: transport}})
		if c != nil {
			t.Cleanup(func() { _ = c.CloseNow() })
		}
		return c, resp, err
	}
	c, _, err := dialWith(clientPair)
	require.NoError(t, err)
	say(t, c, "hello")
	require.Equal(t, "mtls", next.first(t, event.Auth).String(event.AuthMethod))
	require.WithinDuration(t, serverPair.Leaf.NotAfter, r.serving.server.CertificateNotAfter(), 0)
	_, resp, err := dialWith()
	require.Error(t, err)
	require.Equal(t, http.StatusUnauthorized, resp.StatusCode)
	_, _, err = dialWith(stranger)
	require.Error(t, err, "a certificate of another authority gets no answer")
}

func TestAFirstMessageMayHaveTheToken(t *testing.T) {
	t.Parallel()
	issuer, next := newIssuer(t), &sink{}
	cfg := issuer.config()
	cfg.JWT.FirstMessage, cfg.Limits.Excess = true, excessDrop
	cfg.Subprotocols, cfg.Compression = []string{"chat.v1"}, true
	r := start(t, idOf(t), cfg, next, false)
	token := strings.TrimPrefix(issuer.token("ann").Get("Authorization"), "Bearer ")
	c, _, err := dial(t, r.url(), nil, "chat.v1")
	require.NoError(t, err)
	require.Equal(t, "chat.v1", c.Subprotocol())
	require.NoError(t, c.Write(context.Background(), websocket.MessageText, []byte(`{"auth":"`+token+`"}`)))
	say(t, c, "hello")
	require.Equal(t, "first_message", next.first(t, event.Auth).String(event.AuthMethod))

	c, _, err = dial(t, r.url(), nil)
	require.NoError(t, err)
	require.NoError(t, c.Write(context.Background(), websocket.MessageText, []byte("hello")))
	require.Equal(t, websocket.StatusCode(3000), closeOf(t, c))
}
