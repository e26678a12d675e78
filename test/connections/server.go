package main

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime/debug"
	"runtime/pprof"
	"syscall"
	"time"

	"github.com/sockeye-project/sockeye/endpoint"
	"github.com/sockeye-project/sockeye/endpoint/auth"
	"github.com/sockeye-project/sockeye/event"
	"github.com/sockeye-project/sockeye/wire"
)

// server serves until its input ends. A line asks for the memory and processor time in use, or for a shutdown.
func server(set setting) error {
	if set.profile != "" {
		f, err := os.Create(set.profile)
		if err != nil {
			return err
		}
		defer f.Close()
		if err := pprof.StartCPUProfile(f); err != nil {
			return err
		}
		defer pprof.StopCPUProfile()
	}
	files := endpoint.ServerSettings{}
	if set.secure {
		files.CertFile, files.KeyFile = filepath.Join(set.folder, "crt"), filepath.Join(set.folder, "key")
	}
	signer, err := newSigner(set)
	if err != nil {
		return err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	shutdown := func(context.Context) error { return nil }
	if handler, other := peers[set.peer]; other {
		s := &http.Server{Handler: signer.guard(handler), ReadHeaderTimeout: 5 * time.Second}
		if set.secure {
			go s.ServeTLS(l, files.CertFile, files.KeyFile) //nolint:errcheck // the process ends with its input
		} else {
			go s.Serve(l) //nolint:errcheck // the process ends with its input
		}
	} else {
		s, err := newServer(files, signer)
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
			if err != nil {
				fmt.Println("error", err)
			} else {
				fmt.Println(time.Since(began))
			}
			continue
		}
		var used syscall.Rusage
		if err := syscall.Getrusage(syscall.RUSAGE_SELF, &used); err != nil {
			return err
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
		fmt.Println(resident*int64(os.Getpagesize()), used.Utime.Nano()+used.Stime.Nano())
	}
	return nil
}

// newServer is an endpoint with everything on: an identity, budgets of address, user, tenant and connection, an Observer.
func newServer(files endpoint.ServerSettings, signer *signer) (*endpoint.Server, error) {
	rate := endpoint.Rate{PerSecond: 1e6, Burst: 1e6}
	quota := endpoint.Quota{Handshakes: rate, Connections: 1 << 20, Messages: rate, Bytes: rate}
	who, err := signer.authenticator()
	if err != nil {
		return nil, err
	}
	if who == nil {
		who = auth.AuthenticatorFunc(func(_ context.Context, c auth.Credential) (auth.Identity, error) {
			return auth.Identity{Subject: c.Token, Tenant: "acme", NotAfter: time.Now().Add(time.Hour)}, nil
		})
	}
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
		Authenticator: who,
		Origins:       wire.Origins{AllowMissing: true},
		Limits:        endpoint.Limits{Connections: 1 << 20, Address: quota, User: quota, Tenant: quota, Connection: quota},
		Observer:      endpoint.ObserverFunc(func(*event.Event) {}),
	})
	if err != nil {
		return nil, err
	}
	return e.Server(files)
}
