package main

import (
	"context"
	"net/http"
	"sync"

	coder "github.com/coder/websocket"
	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsutil"
	"github.com/gorilla/websocket"
	"github.com/lxzan/gws"
)

// peers are echoes with other libraries, as their documents say, with nothing around them. Each ends with its connection.
var peers = map[string]http.HandlerFunc{
	"gorilla": func(w http.ResponseWriter, r *http.Request) {
		up := websocket.Upgrader{WriteBufferPool: &gorillaPool}
		conn, err := up.Upgrade(w, r, nil)
		if err != nil {
			return
		}
		defer conn.Close()
		for {
			kind, m, err := conn.ReadMessage()
			if err != nil || conn.WriteMessage(kind, m) != nil {
				return
			}
		}
	},
	"coder": func(w http.ResponseWriter, r *http.Request) {
		conn, err := coder.Accept(w, r, nil)
		if err != nil {
			return
		}
		defer conn.CloseNow() //nolint:errcheck // it is over
		for {
			kind, m, err := conn.Read(context.Background())
			if err != nil || conn.Write(context.Background(), kind, m) != nil {
				return
			}
		}
	},
	"gobwas": func(w http.ResponseWriter, r *http.Request) {
		conn, _, _, err := ws.UpgradeHTTP(r, w)
		if err != nil {
			return
		}
		go func() { // for net/http to give its memory back
			defer conn.Close()
			for {
				m, op, err := wsutil.ReadClientData(conn)
				if err != nil || wsutil.WriteServerMessage(conn, op, m) != nil {
					return
				}
			}
		}()
	},
	"gws": func(w http.ResponseWriter, r *http.Request) {
		conn, err := gwsUpgrader.Upgrade(w, r)
		if err != nil {
			return
		}
		go conn.ReadLoop() // as above
	},
}

var (
	gorillaPool sync.Pool
	gwsUpgrader = gws.NewUpgrader(gwsEcho{}, nil)
)

type gwsEcho struct{ gws.BuiltinEventHandler }

func (gwsEcho) OnMessage(conn *gws.Conn, m *gws.Message) {
	defer m.Close()
	_ = conn.WriteMessage(m.Opcode, m.Bytes()) // a connection that is gone ends the loop
}
