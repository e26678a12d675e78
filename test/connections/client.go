package main

import (
	"bufio"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"

	"github.com/sockeye-project/sockeye/wire"
)

// client does what its input says: "handshake N" times and reset each connection, N lives of "life N", which have an echo and a
// closing handshake too, "open N" connections that have an echo and stay, "answer" the Close frames of all that are open. It
// answers "ok" or "error ...".
func client(set setting, address string) error {
	signer, err := newSigner(set)
	if err != nil {
		return err
	}
	var held []*connection
	user := 0
	open := func() (*connection, error) {
		user++
		token, err := signer.token(fmt.Sprintf("user-%d", user))
		if err != nil {
			return nil, err
		}
		return connect(address, set.secure, token)
	}
	for in := bufio.NewScanner(os.Stdin); in.Scan(); {
		var what string
		var n int
		if _, err := fmt.Sscan(in.Text(), &what, &n); err != nil {
			return err
		}
		var err error
		switch what {
		case "open":
			for range n {
				var c *connection
				if c, err = open(); err != nil {
					break
				}
				if err = c.echo(); err != nil {
					break
				}
				held = append(held, c)
			}
		case "handshake":
			for range n {
				var c *connection
				if c, err = open(); err != nil {
					break
				}
				if err = c.reset(); err != nil {
					break
				}
			}
		case "life":
			for range n {
				var c *connection
				if c, err = open(); err != nil {
					break
				}
				if err = errors.Join(c.echo(), c.leave()); err != nil {
					break
				}
			}
		case "answer":
			answered := make(chan error, len(held))
			for _, c := range held {
				go func() { answered <- c.answer() }()
			}
			for range held {
				err = errors.Join(err, <-answered)
			}
		}
		if err != nil {
			fmt.Println("error", err)
		} else {
			fmt.Println("ok")
		}
	}
	return nil
}

// connection is an open WebSocket connection.
type connection struct {
	net.Conn
	tcp *net.TCPConn
}

func connect(address string, secure bool, token string) (*connection, error) {
	conn, err := net.Dial("tcp", address)
	if err != nil {
		return nil, err
	}
	c := &connection{Conn: conn, tcp: conn.(*net.TCPConn)}
	if secure {
		c.Conn = tls.Client(conn, &tls.Config{InsecureSkipVerify: true}) //nolint:gosec // it was made a moment ago
	}
	request := "GET /chat HTTP/1.1\r\nHost: chat.example.com\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n" +
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n" +
		"Authorization: Bearer " + token + "\r\n\r\n"
	if _, err := io.WriteString(c, request); err != nil {
		return nil, err
	}
	b := make([]byte, 1024)
	n, err := c.Read(b)
	if err != nil {
		return nil, err
	}
	if !strings.HasPrefix(string(b[:n]), "HTTP/1.1 101 ") {
		return nil, errors.New("not upgraded: " + string(b[:n]))
	}
	return c, nil
}

// echo has one message sent back.
func (c *connection) echo() error {
	w := wire.NewWriter(wire.WriterSettings{})
	if _, err := c.Write(w.AppendMessage(nil, wire.OpText, []byte(strings.Repeat("x", 125)))); err != nil {
		return err
	}
	_, err := io.ReadFull(c, make([]byte, 127))
	return err
}

// reset ends the connection at once.
func (c *connection) reset() error {
	return errors.Join(c.tcp.SetLinger(0), c.tcp.Close())
}

// leave closes as a client does: a Close frame, its answer, and the end that the server makes. Not every server answers.
func (c *connection) leave() error {
	w := wire.NewWriter(wire.WriterSettings{})
	if _, err := c.Write(w.AppendClose(nil, wire.CloseNormal, "")); err != nil {
		return err
	}
	_, _ = io.Copy(io.Discard, c) // ends when the server has closed, one way or another
	return c.Close()
}

// answer waits for the Close frame and answers it.
func (c *connection) answer() error {
	b := make([]byte, 256)
	n, err := c.Read(b)
	if err != nil {
		return err
	}
	m, _, err := wire.NewMessageReader(wire.ReaderSettings{From: wire.Server}).Next(b[:n])
	if err != nil || m.Opcode != wire.OpClose {
		return errors.Join(errors.New("no Close frame"), err)
	}
	w := wire.NewWriter(wire.WriterSettings{})
	if _, err := c.Write(w.AppendClose(nil, m.Code, "")); err != nil {
		return err
	}
	if _, err = c.Read(b); err != io.EOF {
		return errors.Join(errors.New("no end"), err)
	}
	return nil
}
