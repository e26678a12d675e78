// Command connections measures what the connections of an endpoint cost, or those of a server of another library: processor
// time of a handshake and of a short life, resident memory of holding one, and with -drain how long a shutdown takes. Servers and clients are
// processes of their own, -servers pairs of them where one process may not have that many files open.
package main

import (
	"bufio"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/big"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// setting is what servers and clients have to know.
type setting struct {
	peer   string
	secure bool
	auth   string
	// folder has the certificate and its key.
	folder string
	// profile is where the server writes what it spent its time on.
	profile string
}

func main() {
	var set setting
	n := flag.Int("n", 5000, "how many connections each server holds; 0 holds none")
	lives := flag.Int("lives", 5000, "how many handshakes, and how many whole lives, are measured before")
	servers := flag.Int("servers", 1, "how many servers, and as many clients")
	drain := flag.Bool("drain", false, "shut the endpoint down in the end")
	flag.BoolVar(&set.secure, "tls", false, "with TLS")
	flag.StringVar(&set.peer, "peer", "endpoint", "which `library` serves: endpoint, gorilla, coder, gobwas or gws")
	flag.StringVar(&set.auth, "auth", "", "what signs the handshakes' tokens: HS256, EdDSA or ES256;\n"+
		"golang-jwt verifies them for the other libraries")
	flag.StringVar(&set.profile, "cpuprofile", "", "`file` to write the server's profile to")
	role := flag.String("role", "", "be a server, or the client of the server at this `address`")
	flag.StringVar(&set.folder, "folder", "", "the `folder` with the certificate, for a role")
	flag.Parse()
	var err error
	switch *role {
	case "":
		err = measure(set, *servers, *lives, *n, *drain)
	case "server":
		err = server(set)
	default:
		err = client(set, *role)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1) //nolint:forbidigo // this is main
	}
}

// child is a server or a client: it answers each line with one.
type child struct {
	cmd *exec.Cmd
	in  io.WriteCloser
	out *bufio.Reader
}

func start(set setting, role string) (*child, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	c := &child{cmd: exec.Command(self, "-role", role, "-folder", set.folder, "-peer", set.peer, "-auth", set.auth,
		fmt.Sprintf("-tls=%v", set.secure), "-cpuprofile", set.profile)}
	c.cmd.Stderr = os.Stderr
	if c.in, err = c.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := c.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	c.out = bufio.NewReader(out)
	return c, c.cmd.Start()
}

func (c *child) stop() {
	c.in.Close()
	_ = c.cmd.Wait() // it ends with its input
}

func (c *child) ask(format string, args ...any) (string, error) {
	if _, err := fmt.Fprintf(c.in, format+"\n", args...); err != nil {
		return "", err
	}
	return c.answer()
}

func (c *child) answer() (string, error) {
	line, err := c.out.ReadString('\n')
	if err == nil && strings.HasPrefix(line, "error ") {
		err = errors.New(strings.TrimSpace(line[len("error "):]))
	}
	return strings.TrimSpace(line), err
}

// usage is of a server: bytes resident, nanoseconds of processor time.
type usage struct{ resident, cpu int64 }

func (c *child) usage() (u usage, err error) {
	line, err := c.ask("usage")
	if err == nil {
		_, err = fmt.Sscan(line, &u.resident, &u.cpu)
	}
	return u, err
}

// couple is a server and its client.
type couple struct{ server, client *child }

func measure(set setting, n, lives, hold int, drain bool) error {
	var err error
	if set.folder, err = os.MkdirTemp("", "connections"); err != nil {
		return err
	}
	defer os.RemoveAll(set.folder)
	if err := certificate(set.folder); err != nil {
		return err
	}
	var couples []couple
	for range n {
		s, err := start(set, "server")
		if err != nil {
			return err
		}
		defer s.stop()
		address, err := s.answer()
		if err != nil {
			return err
		}
		c, err := start(set, address)
		if err != nil {
			return err
		}
		defer c.stop()
		couples = append(couples, couple{s, c})
	}
	// each has every client do a thing, and returns what the servers used meanwhile and have in the end.
	each := func(what string, n int) (used, has usage, err error) {
		for _, c := range couples {
			before, err := c.server.usage()
			if err != nil {
				return used, has, err
			}
			if _, err := c.client.ask("%s %d", what, n); err != nil {
				return used, has, err
			}
			after, err := c.server.usage()
			if err != nil {
				return used, has, err
			}
			used.resident += after.resident - before.resident
			used.cpu += after.cpu - before.cpu
			has.resident += after.resident
		}
		return used, has, nil
	}
	// What the first connections need is no matter of how many there are.
	if _, _, err = each("open", 200); err != nil {
		return err
	}
	fmt.Printf("%s, TLS %v, tokens %q\n", set.peer, set.secure, set.auth)
	if lives > 0 {
		for _, what := range []string{"handshake", "life"} {
			used, _, err := each(what, lives)
			if err != nil {
				return err
			}
			each := float64(used.cpu) / float64(n*lives)
			fmt.Printf("  %s: %.0f CPU-µs, %.0f a CPU-second\n", what, each/1e3, 1e9/each)
		}
	}
	if hold == 0 {
		return nil
	}
	used, has, err := each("open", hold)
	if err != nil {
		return err
	}
	all := float64(n * hold)
	fmt.Printf("  %d held: %.2f KiB resident and %.0f CPU-µs to open each; %.1f MiB in all, %.1f without\n", n*hold,
		float64(used.resident)/all/1024, float64(used.cpu)/all/1e3, float64(has.resident)/(1<<20),
		float64(has.resident-used.resident)/(1<<20))
	if !drain {
		return nil
	}
	for _, c := range couples {
		if _, err := io.WriteString(c.client.in, "answer 0\n"); err != nil {
			return err
		}
		took, err := c.server.ask("drain")
		if err != nil {
			return err
		}
		if _, err := c.client.answer(); err != nil {
			return err
		}
		fmt.Println("  drained in", took)
	}
	return nil
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
