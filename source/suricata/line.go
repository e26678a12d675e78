package suricata

import "github.com/sockeye-project/sockeye/source/fields"

// The fields of a line.
const (
	timestamp fields.ID = iota
	eventType
	flowID
	host
	txID
	srcIP
	srcPort
	appProto
	appExpected
	hostname
	httpPort
	url
	userAgent
	method
	protocol
	status
	upgrade
	requestHeaders
	responseHeaders
	fieldFIN
	mask
	opcode
	flowEnd
	flowState
	flagsToServer
	flagsToClient
	anomalyType
	anomalyEvent
	fieldCount
)

// names are the fields' names in EVE.
var names = [fieldCount]string{
	timestamp:       "timestamp",
	eventType:       "event_type",
	flowID:          "flow_id",
	host:            "host",
	txID:            "tx_id",
	srcIP:           "src_ip",
	srcPort:         "src_port",
	appProto:        "app_proto",
	appExpected:     "app_proto_expected",
	hostname:        "http.hostname",
	httpPort:        "http.http_port",
	url:             "http.url",
	userAgent:       "http.http_user_agent",
	method:          "http.http_method",
	protocol:        "http.protocol",
	status:          "http.status",
	upgrade:         "http.upgrade",
	requestHeaders:  "http.request_headers",
	responseHeaders: "http.response_headers",
	fieldFIN:        "websocket.fin",
	mask:            "websocket.mask",
	opcode:          "websocket.opcode",
	flowEnd:         "flow.end",
	flowState:       "flow.state",
	flagsToServer:   "tcp.tcp_flags_ts",
	flagsToClient:   "tcp.tcp_flags_tc",
	anomalyType:     "anomaly.type",
	anomalyEvent:    "anomaly.event",
}

var fieldsByName = func() map[string]fields.ID {
	m := map[string]fields.ID{}
	for f, name := range names {
		m[name] = fields.ID(f)
	}
	return m
}()
