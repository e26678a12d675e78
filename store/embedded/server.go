//go:build linux && amd64 && !noembedded

package embedded

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"runtime"
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

// server is ClickHouse's HTTP interface over one engine.
type server struct {
	engine        *engine
	token         string
	name          string
	version       string
	timezone      string
	reads, writes chan struct{}
}

// Run serves until ctx ends. It calls ready with the address it listens on as soon as requests are answered.
func Run(ctx context.Context, s Settings, ready func(address string)) error {
	if s.Token == "" && !loopback(s.Listen) {
		return fmt.Errorf("listen on %s: without a token only a loopback address is allowed, such as 127.0.0.1:8123",
			s.Listen)
	}
	// The port first: it is taken more often than anything else is wrong, and the engine takes longer to start.
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", s.Listen)
	if err != nil {
		if errors.Is(err, syscall.EADDRINUSE) {
			return fmt.Errorf("listen on %s: the port is taken; stop the program that has it or choose another with --listen",
				s.Listen)
		}
		return fmt.Errorf("listen on %s: %w; choose another address with --listen", s.Listen, err)
	}
	defer listener.Close()
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
		engine: engine, token: s.Token, name: about[0][0], version: about[0][1], timezone: about[0][2],
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
	failed := make(chan error, 1)
	go func() { failed <- web.Serve(listener) }()
	if ready != nil {
		ready(listener.Addr().String())
	}
	select {
	case err := <-failed:
		return err
	case <-ctx.Done():
	}
	grace, stop := context.WithTimeout(context.WithoutCancel(ctx), shutdownGrace)
	defer stop()
	if err := web.Shutdown(grace); err != nil {
		// What still runs is cancelled, which kills its statement; the engine waits for it.
		cancelRequests()
		_ = web.Close()
	}
	if err := <-failed; !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// lane waits for a turn.
func lane(ctx context.Context, turns chan struct{}) (func(), error) {
	timer := time.NewTimer(laneWait)
	defer timer.Stop()
	select {
	case turns <- struct{}{}:
		return func() { <-turns }, nil
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	case <-timer.C:
		return nil, newException(codeTooManyQueries, "TOO_MANY_SIMULTANEOUS_QUERIES",
			"%d statements of this sort are running already", cap(turns))
	}
}
