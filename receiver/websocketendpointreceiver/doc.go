// Package websocketendpointreceiver is the websocketendpoint receiver: package endpoint in the collector's process. It serves
// WebSocket connections at an address, and hands what the endpoint tells of them to the pipeline in chunks.
//
// It redacts nothing (the pii processor does), authenticates and limits nothing itself (endpoint and endpoint/auth do), and
// passes no message on: what becomes of messages is a handler, see handler.go.
//
// The invariants to keep: the endpoint never waits for the pipeline to serve a message, and what waits for the pipeline is
// bounded, see recorder; a reload of the collector's configuration that leaves the section as it is closes no connection, see
// handover.
package websocketendpointreceiver
