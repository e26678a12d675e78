package zeek

import "github.com/sockeye-project/sockeye/source/fields"

// The fields of a line.
const (
	ts fields.ID = iota
	uid
	origHost
	origPort
	host
	uri
	userAgent
	subprotocol
	clientProtocols
	serverExtensions
	transDepth
	method
	version
	statusCode
	clientHeaderNames
	proto
	fieldCount
)

// names are the fields' names in Zeek's logs.
var names = [fieldCount]string{
	ts:                "ts",
	uid:               "uid",
	origHost:          "id.orig_h",
	origPort:          "id.orig_p",
	host:              "host",
	uri:               "uri",
	userAgent:         "user_agent",
	subprotocol:       "subprotocol",
	clientProtocols:   "client_protocols",
	serverExtensions:  "server_extensions",
	transDepth:        "trans_depth",
	method:            "method",
	version:           "version",
	statusCode:        "status_code",
	clientHeaderNames: "client_header_names",
	proto:             "proto",
}

var fieldsByName = func() map[string]fields.ID {
	m := map[string]fields.ID{}
	for f, name := range names {
		m[name] = fields.ID(f)
	}
	return m
}()
