// Command idle measures what idle connections cost an endpoint, or a server of another library: resident memory by
// connection, and the processor time of opening one. With -drain it also measures how long a shutdown takes. It serves in a
// process of its own and connects from this one.
package main

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"strings"
	"syscall"
	"time"

	"github.com/sockeye-project/sockeye/endpoint"
	"github.com/sockeye-project/sockeye/endpoint/auth"
	"github.com/sockeye-project/sockeye/event"
	"github.com/sockeye-project/sockeye/wire"
)

func main() {
	n := flag.Int("n", 5000, "how many connections")
	secure := flag.Bool("tls", false, "with TLS")
	peer := flag.String("peer", "endpoint", "which `library` serves: endpoint, gorilla, coder, gobwas or gws")
	drain := flag.Bool("drain", false, "shut the endpoint down in the end")
	serve := flag.String("serve", "", "be the server, with the certificate in this `folder`")
	flag.Parse()
	var err error
	if *serve != "" {
		err = server(*serve, *peer, *secure)
	} else {
		err = measure(*n, *peer, *secure, *drain)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1) //nolint:forbidigo // this is main
	}
}

// server serves until its input ends. A line asks for the memory in use and the processor time so far, or for a shutdown.
func server(folder, peer string, secure bool) error {
	set := endpoint.ServerSettings{}
	if secure {
		set.CertFile, set.KeyFile = filepath.Join(folder, "crt"), filepath.Join(folder, "key")
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	shutdown := func(context.Context) error { return nil }
	if handler, other := peers[peer]; other {
		s := &http.Server{Handler: handler, ReadHeaderTimeout: 5 * time.Second}
		if secure {
			go s.ServeTLS(l, set.CertFile, set.KeyFile) //nolint:errcheck // the process ends with its input
		} else {
			go s.Serve(l) //nolint:errcheck // the process ends with its input
		}
	} else {
		s, err := newServer(set)
		if err != nil {
			return err
		}
		shutdown = s.Shutdown
		go s.Serve(l) //nolint:errcheck // the process ends with its input
	}
	fmt.Println(l.Addr())
	for in := bufio.NewScanner(os.Stdin); in.Scan(); {
		if in.Text() == "drain" {
			ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
			began := time.Now()
			err := shutdown(ctx)
			cancel()
			fmt.Println(time.Since(began), err)
			continue
		}
		// The stacks that a burst of handshakes made large shrink by half with each collection.
		for range 4 {
			debug.FreeOSMemory()
		}
		var pages, resident int64
		b, err := os.ReadFile("/proc/self/statm")
		if err != nil {
			return err
		}
		if _, err := fmt.Sscan(string(b), &pages, &resident); err != nil {
			return err
		}
		var used syscall.Rusage
		if err := syscall.Getrusage(syscall.RUSAGE_SELF, &used); err != nil {
			return err
		}
		fmt.Println(resident*int64(os.Getpagesize()), used.Utime.Nano()+used.Stime.Nano())
	}
	return nil
}

// newServer is an endpoint with everything on: an identity, budgets of address, user, tenant and connection, an Observer.
func newServer(set endpoint.ServerSettings) (*endpoint.Server, error) {
	rate := endpoint.Rate{PerSecond: 1e6, Burst: 1e6}
	quota := endpoint.Quota{Handshakes: rate, Connections: 1 << 20, Messages: rate, Bytes: rate}
	e, err := endpoint.New(endpoint.Config{
		Handle: func(_ context.Context, s *endpoint.Session) error {
			for m, err := range s.Messages() {
				if err != nil {
					return err
				}
				if err := s.Send(m.Opcode, m.Payload); err != nil {
					return err
				}
			}
			return nil
		},
		Authenticator: auth.AuthenticatorFunc(func(_ context.Context, c auth.Credential) (auth.Identity, error) {
			return auth.Identity{Subject: c.Token, Tenant: "acme", NotAfter: time.Now().Add(time.Hour)}, nil
		}),
		Origins:  wire.Origins{AllowMissing: true},
		Limits:   endpoint.Limits{Connections: 1 << 20, Address: quota, User: quota, Tenant: quota, Connection: quota},
		Observer: endpoint.ObserverFunc(func(*event.Event) {}),
	})
	if err != nil {
		return nil, err
	}
	return e.Server(set)
}

func measure(n int, peer string, secure, drain bool) error {
	folder, err := os.MkdirTemp("", "idle")
	if err != nil {
		return err
	}
	defer os.RemoveAll(folder)
	if err := certificate(folder); err != nil {
		return err
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	child := exec.Command(self, "-serve", folder, "-peer", peer, fmt.Sprintf("-tls=%v", secure))
	child.Stderr = os.Stderr
	in, err := child.StdinPipe()
	if err != nil {
		return err
	}
	out, err := child.StdoutPipe()
	if err != nil {
		return err
	}
	if err := child.Start(); err != nil {
		return err
	}
	defer child.Wait() //nolint:errcheck // its input has ended
	defer in.Close()
	answers := bufio.NewReader(out)
	var address string
	if _, err := fmt.Fscanln(answers, &address); err != nil {
		return err
	}
	ask := func() (bytes, cpu int64, err error) {
		if _, err = io.WriteString(in, "\n"); err == nil {
			_, err = fmt.Fscanln(answers, &bytes, &cpu)
		}
		return bytes, cpu, err
	}
	var held []net.Conn
	defer func() {
		for _, c := range held {
			c.Close()
		}
	}()
	more := func(n int) error {
		for range n {
			c, err := open(address, secure, len(held))
			if err != nil {
				return err
			}
			held = append(held, c)
		}
		return nil
	}
	// What the first connections need is no matter of how many there are.
	if err := more(200); err != nil {
		return err
	}
	before, cpuBefore, err := ask()
	if err != nil {
		return err
	}
	if err := more(n); err != nil {
		return err
	}
	after, cpuAfter, err := ask()
	if err != nil {
		return err
	}
	fmt.Printf("%s, %d connections, TLS %v: %.2f KiB resident and %.0f CPU-µs each; "+
		"the server has %.1f MiB with them and %.1f without\n", peer, n, secure, float64(after-before)/float64(n)/1024, float64(cpuAfter-cpuBefore)/float64(n)/1e3,
		float64(after)/(1<<20), float64(before)/(1<<20))
	if !drain {
		return nil
	}
	answered := make(chan error, len(held))
	for _, c := range held {
		go func() { answered <- answer(c) }()
	}
	if _, err := io.WriteString(in, "drain\n"); err != nil {
		return err
	}
	result, err := answers.ReadString('\n')
	fmt.Print("drained in ", result)
	for range held {
		err = errors.Join(err, <-answered)
	}
	return err
}

// answer waits for the Close frame and answers it.
func answer(conn net.Conn) error {
	b := make([]byte, 256)
	n, err := conn.Read(b)
	if err != nil {
		return err
	}
	m, _, err := wire.NewMessageReader(wire.ReaderSettings{From: wire.Server}).Next(b[:n])
	if err != nil || m.Opcode != wire.OpClose {
		return errors.Join(errors.New("no Close frame"), err)
	}
	w := wire.NewWriter(wire.WriterSettings{})
	if _, err := conn.Write(w.AppendClose(nil, m.Code, "")); err != nil {
		return err
	}
	if _, err = conn.Read(b); err != io.EOF {
		return errors.Join(errors.New("no end"), err)
	}
	return nil
}

// open connects, and has one message sent back.
func open(address string, secure bool, i int) (net.Conn, error) {
	conn, err := net.Dial("tcp", address)
	if err != nil {
		return nil, err
	}
	if secure {
		conn = tls.Client(conn, &tls.Config{InsecureSkipVerify: true}) //nolint:gosec // it was made a moment ago
	}
	w := wire.NewWriter(wire.WriterSettings{})
	request := "GET /chat HTTP/1.1\r\nHost: chat.example.com\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n" +
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n" +
		fmt.Sprintf("Authorization: Bearer user-%d\r\n\r\n", i)
	if _, err := io.WriteString(conn, request); err != nil {
		return nil, err
	}
	b := make([]byte, 1024)
	n, err := conn.Read(b)
	if err != nil {
		return nil, err
	}
	if !strings.HasPrefix(string(b[:n]), "HTTP/1.1 101 ") {
		return nil, errors.New("not upgraded: " + string(b[:n]))
	}
	if _, err := conn.Write(w.AppendMessage(nil, wire.OpText, []byte(strings.Repeat("x", 125)))); err != nil {
		return nil, err
	}
	_, err = io.ReadFull(conn, b[:127])
	return conn, err
}

func certificate(folder string) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "localhost"}, DNSNames: []string{"localhost"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return err
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	write := func(name, kind string, der []byte) error {
		return os.WriteFile(filepath.Join(folder, name), pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600)
	}
	return errors.Join(write("crt", "CERTIFICATE", der), write("key", "PRIVATE KEY", secret))
}
