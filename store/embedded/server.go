//go:build linux && amd64 && !noembedded

package embedded

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"runtime"
	"sync"
	"syscall"
	"time"
)

// writeLanes bounds how many inserts run at once, and readLanes how many of everything else: they wait in lines of
// their own, so that readers never keep an insert waiting for a turn.
const (
	writeLanes = 24
	laneWait   = 30 * time.Second
)

func readLanes() int { return max(16, 4*runtime.NumCPU()) }

// shutdownGrace is how long running statements may take to end when the process is told to stop.
const shutdownGrace = 15 * time.Second

// server is what both interfaces have in common: one engine and who may use it.
type server struct {
	tokens
	engine        *engine
	name          string
	version       string
	timezone      string
	reads, writes chan struct{}
	// restoring is held while an archive's tables are made, or removed again.
	restoring sync.Mutex
}

// Run serves until ctx ends. It calls ready with the addresses it listens on as soon as requests are answered.
func Run(ctx context.Context, s Settings, ready func(Addresses)) error {
	if s.ReadOnlyToken != "" && (s.Token == "" || s.Token == s.ReadOnlyToken) {
		return errors.New("a token for reading only needs another one that may do everything")
	}
	// The ports first: they are taken more often than anything else is wrong, and the engine takes longer to start.
	listener, err := listen(ctx, s, s.Listen, "--listen", "127.0.0.1:8123")
	if err != nil {
		return err
	}
	defer listener.Close()
	var nativeListener net.Listener
	if s.ListenNative != "" {
		if nativeListener, err = listen(ctx, s, s.ListenNative, "--listen-native", "127.0.0.1:9000"); err != nil {
			return err
		}
		defer nativeListener.Close()
	}
	engine, err := openEngine(s)
	if err != nil {
		return err
	}
	defer engine.close()
	about, err := engine.own("SELECT displayName(), version(), timezone()")
	if err != nil {
		return fmt.Errorf("ask the engine for its version: %w", err)
	}
	handler := &server{
		tokens: tokens{full: s.Token, read: s.ReadOnlyToken},
		engine: engine, name: about[0][0], version: about[0][1], timezone: about[0][2],
		reads: make(chan struct{}, readLanes()), writes: make(chan struct{}, writeLanes),
	}
	requests, cancelRequests := context.WithCancel(context.WithoutCancel(ctx))
	defer cancelRequests()
	web := &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: 10 * time.Second,
		IdleTimeout:       5 * time.Minute,
		MaxHeaderBytes:    1 << 20,
		BaseContext:       func(net.Listener) context.Context { return requests },
	}
	// Serving ends with ctx, or by an error of a listener.
	failed := make(chan error, 2)
	go func() { failed <- web.Serve(listener) }()
	addresses := Addresses{HTTP: listener.Addr().String()}
	native := newNativeServer(handler)
	if nativeListener != nil {
		go func() { failed <- native.serve(requests, nativeListener) }()
		addresses.Native = nativeListener.Addr().String()
	}
	if ready != nil {
		ready(addresses)
	}
	var end error
	select {
	case end = <-failed:
	case <-ctx.Done():
	}
	grace, stop := context.WithTimeout(context.WithoutCancel(ctx), shutdownGrace)
	defer stop()
	native.drain()
	if err := web.Shutdown(grace); err != nil {
		// What still runs is cancelled, which kills its statement; the engine waits for it.
		cancelRequests()
		_ = web.Close()
	}
	native.wait(grace)
	cancelRequests()
	native.wait(context.WithoutCancel(ctx))
	return end
}

// listen takes an address that whoever may use the engine without a token cannot reach from elsewhere.
func listen(ctx context.Context, s Settings, address, flag, example string) (net.Listener, error) {
	if s.Token == "" && !loopback(address) {
		return nil, fmt.Errorf("listen on %s: without a token only a loopback address is allowed, such as %s",
			address, example)
	}
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", address)
	if errors.Is(err, syscall.EADDRINUSE) {
		return nil, fmt.Errorf("listen on %s: the port is taken; stop the program that has it or choose another with %s",
			address, flag)
	}
	if err != nil {
		return nil, fmt.Errorf("listen on %s: %w; choose another address with %s", address, err, flag)
	}
	return listener, nil
}

// lane waits for a turn, but not for ever.
func lane(ctx context.Context, turns chan struct{}, wait time.Duration) (func(), error) {
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case turns <- struct{}{}:
		return func() { <-turns }, nil
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	case <-timer.C:
		return nil, newException(codeTooManyQueries, "TOO_MANY_SIMULTANEOUS_QUERIES",
			"%d others of this sort, inserts or not, run already and none has ended for %s; try again later", cap(turns), wait)
	}
}
