package nginx

import "github.com/sockeye-project/sockeye/source/fields"

// The fields of a line.
const (
	timeText fields.ID = iota
	timeLocal
	msec
	requestID
	connection
	remoteAddr
	remotePort
	serverAddr
	serverPort
	host
	httpHost
	request
	requestMethod
	requestURI
	uri
	args
	serverProtocol
	scheme
	status
	requestTime
	bodyBytesSent
	upstreamHeaderTime
	httpUpgrade
	clientProtocol
	websocketKey
	sentProtocol
	sentExtensions
	userAgent
	sslProtocol
	traceparent
	otelTraceID
	otelSpanID
	limitReqStatus
	limitConnStatus
	fieldCount
)

// variables are the names of the fields: nginx's variable, which is what the reader of an error finds in nginx.conf, and
// after it the short forms that people write in JSON formats.
var variables = [fieldCount][]string{
	timeText:           {"time_iso8601", "time", "timestamp", "@timestamp"},
	timeLocal:          {"time_local"},
	msec:               {"msec"},
	requestID:          {"request_id"},
	connection:         {"connection"},
	remoteAddr:         {"remote_addr"},
	remotePort:         {"remote_port"},
	serverAddr:         {"server_addr"},
	serverPort:         {"server_port"},
	host:               {"host"},
	httpHost:           {"http_host"},
	request:            {"request"},
	requestMethod:      {"request_method", "method"},
	requestURI:         {"request_uri"},
	uri:                {"uri", "document_uri"},
	args:               {"args", "query_string"},
	serverProtocol:     {"server_protocol", "protocol"},
	scheme:             {"scheme"},
	status:             {"status"},
	requestTime:        {"request_time"},
	bodyBytesSent:      {"body_bytes_sent"},
	upstreamHeaderTime: {"upstream_header_time"},
	httpUpgrade:        {"http_upgrade", "upgrade"},
	clientProtocol:     {"http_sec_websocket_protocol", "sec_websocket_protocol"},
	websocketKey:       {"http_sec_websocket_key", "sec_websocket_key"},
	sentProtocol:       {"sent_http_sec_websocket_protocol", "sent_sec_websocket_protocol"},
	sentExtensions:     {"sent_http_sec_websocket_extensions", "sent_sec_websocket_extensions"},
	userAgent:          {"http_user_agent", "user_agent"},
	sslProtocol:        {"ssl_protocol"},
	traceparent:        {"http_traceparent", "traceparent"},
	otelTraceID:        {"otel_trace_id"},
	otelSpanID:         {"otel_span_id"},
	limitReqStatus:     {"limit_req_status"},
	limitConnStatus:    {"limit_conn_status"},
}

// fieldsByName has every name of every field.
var fieldsByName = fields.ByName(variables[:], 0)

// fieldsByVariable has the names that are nginx's own. The short forms of JSON keys are not among them: in a log_format
// such a name would be a variable that somebody made with map or set, and could mean anything.
var fieldsByVariable = func() map[string]fields.ID {
	m := map[string]fields.ID{"document_uri": uri, "query_string": args}
	for f, names := range variables {
		m[names[0]] = fields.ID(f)
	}
	return m
}()

func newLine() *fields.Line { return fields.NewLineOf(variables[:]) }
