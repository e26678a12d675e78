package caddy

import "github.com/sockeye-project/sockeye/source/fields"

// The fields of a line.
const (
	ts fields.ID = iota
	logger
	message
	errorID
	duration
	size
	bytesRead
	status
	remoteIP
	remotePort
	remoteAddr
	clientIP
	proto
	method
	host
	uri
	upgrade
	connectProtocol
	websocketKey
	offered
	userAgent
	traceparent
	tlsVersion
	sentUpgrade
	sentProtocol
	sentExtensions
	traceID
	spanID
	fieldCount
)

// names are the members as Caddy writes them. Caddy before 2.11 writes the names of response headers as Go does, later
// as RFC 6455 does.
var names = [fieldCount][]string{
	ts:              {"ts"},
	logger:          {"logger"},
	message:         {"msg"},
	errorID:         {"err_id"},
	duration:        {"duration"},
	size:            {"size"},
	bytesRead:       {"bytes_read"},
	status:          {"status"},
	remoteIP:        {"request.remote_ip"},
	remotePort:      {"request.remote_port"},
	remoteAddr:      {"request.remote_addr"},
	clientIP:        {"request.client_ip"},
	proto:           {"request.proto"},
	method:          {"request.method"},
	host:            {"request.host"},
	uri:             {"request.uri"},
	upgrade:         {"request.headers.Upgrade"},
	connectProtocol: {"request.headers.:protocol"},
	websocketKey:    {"request.headers.Sec-Websocket-Key", "request.headers.Sec-WebSocket-Key"},
	offered:         {"request.headers.Sec-Websocket-Protocol", "request.headers.Sec-WebSocket-Protocol"},
	userAgent:       {"request.headers.User-Agent"},
	traceparent:     {"request.headers.Traceparent"},
	tlsVersion:      {"request.tls.version"},
	sentUpgrade:     {"resp_headers.Upgrade"},
	sentProtocol:    {"resp_headers.Sec-Websocket-Protocol", "resp_headers.Sec-WebSocket-Protocol"},
	sentExtensions:  {"resp_headers.Sec-Websocket-Extensions", "resp_headers.Sec-WebSocket-Extensions"},
	traceID:         {"traceID"},
	spanID:          {"spanID"},
}

// newLine returns a line and the scanner that fills it, for an encoder of those options.
func newLine(o options) (*fields.Line, fields.Scanner) {
	own := names
	for f, key := range map[fields.ID]string{ts: o.timeKey, message: o.messageKey, logger: o.nameKey} {
		if key != "" {
			own[f] = []string{key}
		}
	}
	return fields.NewLineOf(own[:]), fields.NewJSON(fields.ByName(own[:], 0))
}
