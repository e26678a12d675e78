// Command echo is a WebSocket server that sends every message back, for the Autobahn test suite and other clients that
// try a server out.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/sockeye-project/sockeye/test/conformance"
)

func main() {
	addr := flag.String("addr", "127.0.0.1:9001", "listen on this `address`")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := serve(ctx, *addr); err != nil {
		fmt.Fprintln(os.Stderr, err)
		stop()
		os.Exit(1) //nolint:forbidigo // this is main
	}
}

func serve(ctx context.Context, addr string) error {
	listener, err := net.Listen("tcp", addr)
	if err != nil {
		return err
	}
	fmt.Printf("ws://%s\n", listener.Addr())
	echo := &conformance.Echo{Limits: conformance.EchoLimits()}
	server := &http.Server{Handler: echo, ReadHeaderTimeout: 10 * time.Second}
	context.AfterFunc(ctx, func() { server.Close() })
	if err = server.Serve(listener); errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}
