// Package browser drives a real Chromium in tests: it loads pages of a test's own server and evaluates JavaScript in them. It
// speaks the DevTools protocol over a pair of pipes, so there is no port, and a browser whose test has died ends by itself.
//
// The browser finds nothing but this machine: every name that a test does not list is unknown to it.
package browser

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/sockeye-project/sockeye/internal/testenv"
)

// patience is how long anything may take, on a machine that is busy with other tests.
const patience = 60 * time.Second

// Settings is what [Start] has to know.
type Settings struct {
	// Hosts are names that lead to 127.0.0.1.
	Hosts []string
	// Trust are certificates of servers that count as valid, whoever signed them and for whatever name.
	Trust []*x509.Certificate
}

// Browser is a running Chromium.
type Browser struct {
	t   testing.TB
	log string // the file of what it says

	in *os.File
	mu sync.Mutex
	// Calls that wait for their answer. Nil once the browser has ended.
	waiting map[int]chan answer
	last    int
	watched map[string]*Page // by their sessions
}

// answer is what the protocol answers a call with, or an event if it has no ID.
type answer struct {
	ID        int
	Result    json.RawMessage
	Error     *struct{ Message string }
	Method    string
	Params    json.RawMessage
	SessionID string
}

// Start starts a Chromium without a window, which ends with t.
func Start(t testing.TB, set Settings) *Browser {
	t.Helper()
	program := testenv.Program(t, "chromium", "chromium")
	dir := t.TempDir()
	var rules []string
	for _, host := range set.Hosts {
		rules = append(rules, "MAP "+host+" 127.0.0.1")
	}
	rules = append(rules, "MAP * ~NOTFOUND", "EXCLUDE 127.0.0.1")
	var pins []string
	for _, c := range set.Trust {
		sum := sha256.Sum256(c.RawSubjectPublicKeyInfo)
		pins = append(pins, base64.StdEncoding.EncodeToString(sum[:]))
	}
	args := []string{
		"--headless=new", "--remote-debugging-pipe", "--user-data-dir=" + filepath.Join(dir, "profile"),
		"--host-resolver-rules=" + strings.Join(rules, ","),
		"--ignore-certificate-errors-spki-list=" + strings.Join(pins, ","), "--no-first-run", "--no-default-browser-check", "--no-proxy-server", "--disable-background-networking",
		"--disable-component-update", "--disable-default-apps", "--disable-domain-reliability", "--disable-sync",
		"--disable-extensions", "--disable-breakpad", "--disable-crash-reporter", "--disable-gpu", "--disable-dev-shm-usage",
		"--metrics-recording-only", "--mute-audio", "--password-store=basic",
		"--disable-features=MediaRouter,OptimizationHints,Translate",
	}
	if os.Geteuid() == 0 {
		args = append(args, "--no-sandbox") // the sandbox does not work for root
	}
	b := &Browser{t: t, log: filepath.Join(dir, "log"), waiting: map[int]chan answer{}, watched: map[string]*Page{}}
	log, err := os.Create(b.log)
	b.must(err)
	defer func() { _ = log.Close() }() // the browser has its own
	theirIn, in, err := os.Pipe()
	b.must(err)
	defer theirIn.Close()
	out, theirOut, err := os.Pipe()
	b.must(err)
	defer theirOut.Close()
	b.in = in

	cmd := exec.Command(program, args...)
	cmd.Env = append(os.Environ(),
		"HOME="+dir, "XDG_CONFIG_HOME="+dir, "XDG_CACHE_HOME="+dir, "DBUS_SESSION_BUS_ADDRESS=disabled:")
	cmd.Stdout, cmd.Stderr = log, log
	cmd.ExtraFiles = []*os.File{theirIn, theirOut} // 3 and 4, as the protocol has it
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	b.must(cmd.Start())
	listened := make(chan struct{})
	go func() { defer close(listened); b.listen(out) }()
	t.Cleanup(func() {
		b.stop(cmd)
		<-listened
	})
	return b
}

// stop ends the browser and all that it has started.
func (b *Browser) stop(cmd *exec.Cmd) {
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = cmd.Wait() // it may be killed
	}()
	_ = b.write(map[string]any{"id": 0, "method": "Browser.close"}) // fails if it has ended already
	select {
	case <-ended:
	case <-time.After(patience / 6):
	}
	_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
	<-ended
	_ = b.in.Close()
	// Its profile can be removed when all of its processes are gone.
	look, limit := time.NewTicker(5*time.Millisecond), time.Now().Add(patience/6)
	defer look.Stop()
	for syscall.Kill(-cmd.Process.Pid, 0) == nil && time.Now().Before(limit) {
		<-look.C
	}
}

// listen hands answers to those who wait for them, and events to pages that are watched, until the browser ends.
func (b *Browser) listen(out *os.File) {
	defer out.Close()
	for r := bufio.NewReader(out); ; {
		text, err := r.ReadBytes(0)
		if err != nil {
			break
		}
		var a answer
		if json.Unmarshal(bytes.TrimSuffix(text, []byte{0}), &a) != nil {
			continue
		}
		b.mu.Lock()
		if p := b.watched[a.SessionID]; p != nil && a.ID == 0 && len(p.seen) < maxSeen {
			p.seen = append(p.seen, Event{a.Method, a.Params})
		}
		if wait := b.waiting[a.ID]; wait != nil {
			wait <- a
			delete(b.waiting, a.ID)
		}
		b.mu.Unlock()
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, wait := range b.waiting {
		close(wait)
	}
	b.waiting = nil
}

func (b *Browser) write(call any) error {
	text, err := json.Marshal(call)
	if err == nil {
		_, err = b.in.Write(append(text, 0))
	}
	return err
}

// call calls a method of the protocol, in a session unless it is "".
func (b *Browser) call(session, method string, params, result any) error {
	wait := make(chan answer, 1)
	b.mu.Lock()
	if b.waiting == nil {
		b.mu.Unlock()
		return errors.New("the browser has ended")
	}
	b.last++
	call := map[string]any{"id": b.last, "method": method, "params": params}
	b.waiting[b.last] = wait
	if session != "" {
		call["sessionId"] = session
	}
	err := b.write(call)
	b.mu.Unlock()
	if err != nil {
		return fmt.Errorf("%s: %w", method, err)
	}
	select {
	case a, ok := <-wait:
		switch {
		case !ok:
			return fmt.Errorf("%s: the browser has ended", method)
		case a.Error != nil:
			return fmt.Errorf("%s: %s", method, a.Error.Message)
		case result != nil:
			return json.Unmarshal(a.Result, result)
		}
		return nil
	case <-time.After(patience):
		return fmt.Errorf("%s: no answer in %v", method, patience)
	}
}

func (b *Browser) must(err error) {
	b.t.Helper()
	if err == nil {
		return
	}
	said, _ := os.ReadFile(b.log)
	b.t.Fatalf("chromium: %v\n%s", err, said[max(0, len(said)-4096):])
}

// Page is a tab with cookies and storage of its own.
type Page struct {
	b       *Browser
	session string
	seen    []Event
}

// Event is an event of the DevTools protocol.
type Event struct {
	Method string
	Params json.RawMessage
}

// maxSeen is how many events of a watched page are kept.
const maxSeen = 10_000

// Open loads url into a new Page.
func (b *Browser) Open(url string) *Page {
	b.t.Helper()
	p := b.Blank()
	p.Load(url)
	return p
}

// Blank is a new Page with nothing in it, to be set up before it loads something.
func (b *Browser) Blank() *Page {
	b.t.Helper()
	var id struct{ BrowserContextID, TargetID, SessionID string }
	b.must(b.call("", "Target.createBrowserContext", map[string]any{}, &id))
	b.must(b.call("", "Target.createTarget",
		map[string]any{"url": "about:blank", "browserContextId": id.BrowserContextID}, &id))
	b.must(b.call("", "Target.attachToTarget", map[string]any{"targetId": id.TargetID, "flatten": true}, &id))
	return &Page{b: b, session: id.SessionID}
}

// Watch keeps the events of domains of the protocol, such as Network, from now on, for [Page.Seen].
func (p *Page) Watch(domains ...string) {
	p.b.t.Helper()
	p.b.mu.Lock()
	p.b.watched[p.session] = p
	p.b.mu.Unlock()
	for _, d := range domains {
		p.Call(d+".enable", map[string]any{}, nil)
	}
}

// Seen returns the events so far.
func (p *Page) Seen() []Event {
	p.b.mu.Lock()
	defer p.b.mu.Unlock()
	return append([]Event(nil), p.seen...)
}

// Load goes to url, and returns when the page is complete.
func (p *Page) Load(url string) {
	p.b.t.Helper()
	var went struct{ ErrorText string }
	p.Call("Page.navigate", map[string]any{"url": url}, &went)
	if went.ErrorText != "" {
		p.b.must(fmt.Errorf("%s: %s", url, went.ErrorText))
	}
	// Asked again and again, since a page without JavaScript calls nobody back.
	look, limit := time.NewTicker(10*time.Millisecond), time.Now().Add(patience)
	defer look.Stop()
	for state := ""; state != "complete"; <-look.C {
		if time.Now().After(limit) {
			p.b.must(fmt.Errorf("%s: not complete in %v", url, patience))
		}
		p.Eval("document.readyState", &state)
	}
}

// Eval evaluates a JavaScript expression and puts its value, or that of the promise it is, into result, as JSON; nil is no
// result. What is thrown fails the test.
func (p *Page) Eval(expression string, result any) {
	p.b.t.Helper()
	var out struct {
		Result           struct{ Value json.RawMessage }
		ExceptionDetails *struct {
			Text      string
			Exception struct{ Description string }
		}
	}
	p.Call("Runtime.evaluate", map[string]any{
		"expression": expression, "awaitPromise": true, "returnByValue": true, "userGesture": true,
	}, &out)
	if thrown := out.ExceptionDetails; thrown != nil {
		p.b.must(fmt.Errorf("%s: %s %s", expression, thrown.Text, thrown.Exception.Description))
	}
	if result != nil {
		p.b.must(json.Unmarshal(out.Result.Value, result))
	}
}

// Call calls a method of the DevTools protocol for the page; result may be nil.
func (p *Page) Call(method string, params, result any) {
	p.b.t.Helper()
	p.b.must(p.b.call(p.session, method, params, result))
}
