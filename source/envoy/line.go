package envoy

import (
	"strings"

	"github.com/sockeye-project/sockeye/source/fields"
)

// The fields of a line.
const (
	startTime fields.ID = iota
	method
	path
	originalPath
	protocol
	status
	flags
	details
	bytesReceived
	bytesSent
	duration
	responseDuration
	upstreamServiceTime
	requestID
	streamID
	authority
	host
	scheme
	forwardedProto
	remoteAddress
	remotePort
	tlsVersion
	tlsFailure
	logType
	upgrade
	connectProtocol
	userAgent
	offered
	websocketKey
	traceparent
	subprotocol
	extensions
	fieldCount
)

// names are the fields as a reader of an error finds them in Envoy's configuration, and after that the usual keys of JSON
// formats: Istio's, Envoy Gateway's and others.
var names = [fieldCount][]string{
	startTime:           {"%START_TIME%", "start_time", "timestamp", "time", "@timestamp"},
	method:              {"%REQ(:METHOD)%", "method", "request_method", ":method"},
	path:                {"%REQ(:PATH)%", "path", "request_path", "uri", ":path"},
	originalPath:        {"%REQ(X-ENVOY-ORIGINAL-PATH)%", "x-envoy-origin-path", "x-envoy-original-path", "original_path"},
	protocol:            {"%PROTOCOL%", "protocol", "request_protocol"},
	status:              {"%RESPONSE_CODE%", "response_code", "status", "status_code"},
	flags:               {"%RESPONSE_FLAGS%", "response_flags", "flags"},
	details:             {"%RESPONSE_CODE_DETAILS%", "response_code_details", "details"},
	bytesReceived:       {"%BYTES_RECEIVED%", "bytes_received"},
	bytesSent:           {"%BYTES_SENT%", "bytes_sent"},
	duration:            {"%DURATION%", "duration", "duration_ms"},
	responseDuration:    {"%RESPONSE_DURATION%", "response_duration"},
	upstreamServiceTime: {"%RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)%", "upstream_service_time", "x-envoy-upstream-service-time"},
	requestID:           {"%REQ(X-REQUEST-ID)%", "request_id", "x-request-id"},
	streamID:            {"%STREAM_ID%", "stream_id"},
	authority:           {"%REQ(:AUTHORITY)%", "authority", ":authority"},
	host:                {"%REQ(HOST)%", "host"},
	scheme:              {"%REQ(:SCHEME)%", "scheme", ":scheme"},
	forwardedProto:      {"%REQ(X-FORWARDED-PROTO)%", "x_forwarded_proto", "x-forwarded-proto"},
	remoteAddress:       {"%DOWNSTREAM_REMOTE_ADDRESS%", "downstream_remote_address", "client_address", "client_ip", "remote_address"},
	remotePort:          {"%DOWNSTREAM_REMOTE_PORT%", "downstream_remote_port", "client_port"},
	tlsVersion:          {"%DOWNSTREAM_TLS_VERSION%", "downstream_tls_version", "tls_version"},
	tlsFailure:          {"%DOWNSTREAM_TRANSPORT_FAILURE_REASON%", "downstream_transport_failure_reason"},
	logType:             {"%ACCESS_LOG_TYPE%", "access_log_type", "log_type"},
	upgrade:             {"%REQ(UPGRADE)%", "upgrade", "req_upgrade"},
	connectProtocol:     {"%REQ(:PROTOCOL)%", ":protocol"},
	userAgent:           {"%REQ(USER-AGENT)%", "user_agent", "user-agent"},
	offered:             {"%REQ(SEC-WEBSOCKET-PROTOCOL)%", "sec_websocket_protocol", "sec-websocket-protocol"},
	websocketKey:        {"%REQ(SEC-WEBSOCKET-KEY)%", "sec_websocket_key", "sec-websocket-key"},
	traceparent:         {"%REQ(TRACEPARENT)%", "traceparent"},
	subprotocol:         {"%RESP(SEC-WEBSOCKET-PROTOCOL)%", "subprotocol", "sent_sec_websocket_protocol"},
	extensions:          {"%RESP(SEC-WEBSOCKET-EXTENSIONS)%", "extensions", "sent_sec_websocket_extensions"},
}

// operators are the command operators beyond those in names.
var operators = map[string]fields.ID{
	"START_TIME_LOCAL": startTime, "RESPONSE_FLAGS_LONG": flags, "PATH": path, "REQ(X-ENVOY-ORIGINAL-PATH?:PATH)": path,
	"REQUESTED_PATH": path, "REQ(:AUTHORITY?HOST)": authority, "REQ(:PATH?X-ENVOY-ORIGINAL-PATH)": path,
	"DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT": remoteAddress, "DOWNSTREAM_DIRECT_REMOTE_ADDRESS": remoteAddress,
	"DOWNSTREAM_DIRECT_REMOTE_ADDRESS_WITHOUT_PORT": remoteAddress, "DOWNSTREAM_DIRECT_REMOTE_PORT": remotePort,
}

// operatorField returns the field of an operator with its arguments, such as REQ(:METHOD).
func operatorField(operator string) fields.ID {
	operator = strings.ToUpper(operator)
	if f, ok := operators[operator]; ok {
		return f
	}
	for f := range names {
		if names[f][0] == "%"+operator+"%" {
			return fields.ID(f)
		}
	}
	return fields.None
}

func newLine() *fields.Line { return fields.NewLineOf(names[:]) }

// keys are the usual keys of JSON formats.
var keys = fields.ByName(names[:], 1)
