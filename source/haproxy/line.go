package haproxy

import (
	"strings"

	"github.com/sockeye-project/sockeye/source/fields"
)

// The fields of a line.
const (
	client fields.ID = iota // address and port in one
	clientIP
	clientPort
	acceptTime   // %t: local, milliseconds
	requestTime  // %tr
	acceptZoned  // %T, %Tl
	requestZoned // %trg, %trl
	acceptUnix   // %Ts
	acceptMillis // %ms
	frontend     // %ft, which ends with ~ where TLS ended there
	status
	bytesRead
	timeRequest  // TR
	timeQueue    // Tw
	timeConnect  // Tc
	timeResponse // Tr
	timeActive   // Ta
	timeTotal    // Tt
	timeTLS      // Th
	timeIdle     // Ti
	termination
	requestCaptures
	responseCaptures
	request
	method
	target
	path
	query
	version
	uniqueID
	host
	upgrade
	userAgent
	offered
	subprotocol
	extensions
	websocketKey
	traceparent
	tlsVersion
	tlsUsed
	frontError // the texts and numbers of errors of the connection to the client
	tlsError
	errorText
	// captures are captured request headers of which nobody has said what they are.
	capture0
	capture1
	capture2
	capture3
	fieldCount
)

// captures is how many captured headers with a place of their own are looked at.
const captures = 4

// names are the fields as a reader of an error finds them in haproxy.cfg, and after that the keys that people give them in
// JSON formats; HAProxy has none of its own.
var names = [fieldCount][]string{
	client:           {"%ci:%cp", "client"},
	clientIP:         {"%ci", "ci", "client_ip", "client_addr", "client_address", "src", "src_ip", "source_ip", "remote_addr", "remote_ip"},
	clientPort:       {"%cp", "cp", "client_port", "src_port", "source_port", "remote_port"},
	acceptTime:       {"%t", "t", "accept_date", "time", "timestamp", "@timestamp", "date", "datetime", "date_time"},
	requestTime:      {"%tr", "tr", "request_date", "request_time_start"},
	acceptZoned:      {"%T", "T", "Tl", "gmt_date_time", "local_date_time", "date_time_gmt"},
	requestZoned:     {"%trg", "trg", "trl"},
	acceptUnix:       {"%Ts", "Ts", "accept_ts", "accept_time", "ts", "epoch", "unix_time"},
	acceptMillis:     {"%ms", "ms"},
	frontend:         {"%ft", "ft", "frontend_name_transport", "frontend_transport"},
	status:           {"%ST", "ST", "status", "status_code", "http_status", "http_status_code", "response_code"},
	bytesRead:        {"%B", "B", "bytes_read", "bytes_sent", "bytes"},
	timeRequest:      {"%TR", "TR", "time_request", "request_timer"},
	timeQueue:        {"%Tw", "Tw", "time_queue", "time_wait", "queue_time"},
	timeConnect:      {"%Tc", "Tc", "time_connect", "time_backend_connect", "connect_time"},
	timeResponse:     {"%Tr", "Tr", "time_response", "time_backend_response", "response_time"},
	timeActive:       {"%Ta", "Ta", "time_active", "time_duration", "active_time"},
	timeTotal:        {"%Tt", "Tt", "time_total", "total_time", "session_duration"},
	timeTLS:          {"%Th", "Th", "time_handshake"},
	timeIdle:         {"%Ti", "Ti", "time_idle"},
	termination:      {"%ts", "tsc", "term_state", "termination_state", "term_state_cookie", "termination_state_cookie", "termination"},
	requestCaptures:  {"%hr", "hr", "captured_request_headers", "request_headers"},
	responseCaptures: {"%hs", "hs", "captured_response_headers", "response_headers"},
	request:          {"%r", "r", "request", "http_request", "request_line"},
	method:           {"%HM", "HM", "method", "http_method", "request_method", "verb"},
	target:           {"%HU", "HU", "uri", "http_uri", "request_uri", "url"},
	path:             {"%HP", "HP", "HPO", "path", "http_path", "request_path"},
	query:            {"%HQ", "HQ", "query", "http_query", "query_string", "http_request_query"},
	version:          {"%HV", "HV", "http_version", "version", "protocol"},
	uniqueID:         {"%ID", "ID", "unique_id", "request_id"},
	host:             {"Host", "host", "http_host", "header_host"},
	upgrade:          {"Upgrade", "upgrade", "http_upgrade", "header_upgrade"},
	userAgent:        {"User-Agent", "user_agent", "http_user_agent", "useragent"},
	offered:          {"Sec-WebSocket-Protocol", "sec_websocket_protocol", "http_sec_websocket_protocol"},
	subprotocol:      {"Sec-WebSocket-Protocol of the response", "subprotocol", "sent_sec_websocket_protocol", "res_sec_websocket_protocol"},
	extensions:       {"Sec-WebSocket-Extensions of the response", "extensions", "sent_sec_websocket_extensions", "res_sec_websocket_extensions"},
	websocketKey:     {"Sec-WebSocket-Key", "sec_websocket_key", "http_sec_websocket_key"},
	traceparent:      {"traceparent", "http_traceparent"},
	tlsVersion:       {"%sslv", "sslv", "ssl_version", "tls_version"},
	tlsUsed:          {"ssl_fc", "tls"},
	frontError:       {"fc_err", "fc_err_code"},
	tlsError:         {"ssl_fc_err", "ssl_error"},
	errorText:        {"fc_err_str", "error", "err"},
	capture0:         {"capture.req.hdr(0)"},
	capture1:         {"capture.req.hdr(1)"},
	capture2:         {"capture.req.hdr(2)"},
	capture3:         {"capture.req.hdr(3)"},
}

// variables are the log-format's own names (HAProxy configuration manual, "Custom log format").
var variables = map[string]fields.ID{
	"ci": clientIP, "cp": clientPort, "t": acceptTime, "tr": requestTime, "T": acceptZoned, "Tl": acceptZoned,
	"trg": requestZoned, "trl": requestZoned, "Ts": acceptUnix, "ms": acceptMillis, "ft": frontend, "ST": status,
	"B": bytesRead, "TR": timeRequest, "Tw": timeQueue, "Tc": timeConnect, "Tr": timeResponse, "Ta": timeActive,
	"Tt": timeTotal, "Th": timeTLS, "Ti": timeIdle, "ts": termination, "tsc": termination, "hr": requestCaptures,
	"hs": responseCaptures, "r": request, "HM": method, "HU": target, "HP": path, "HPO": path, "HQ": query,
	"HV": version, "ID": uniqueID, "sslv": tlsVersion,
}

// fetches are sample fetches that say the same as a variable, or something that no variable says.
var fetches = map[string]fields.ID{
	"src": clientIP, "src_port": clientPort, "status": status, "method": method, "path": path, "pathq": target,
	"url": target, "query": query, "unique-id": uniqueID, "req.ver": version, "req_ver": version,
	"capture.req.method": method, "capture.req.uri": target, "capture.req.ver": version, "txn.sess_term_state": termination,
	"fc_err": frontError, "fc_err_str": errorText, "ssl_fc_err": tlsError, "ssl_fc_err_str": errorText,
	"ssl_fc": tlsUsed, "ssl_fc_protocol": tlsVersion, "ssl_fc_sni": host,
	"req.timer.hdr": timeRequest, "req.timer.queue": timeQueue, "bc.timer.connect": timeConnect,
	"res.timer.hdr": timeResponse, "txn.timer.total": timeActive, "fc.timer.total": timeTotal, "fc.timer.handshake": timeTLS,
	"req.timer.idle": timeIdle,
}

// requestHeaders and responseHeaders are the headers that say something, in lower case.
var (
	requestHeaders = map[string]fields.ID{
		"host": host, "upgrade": upgrade, "user-agent": userAgent, "sec-websocket-protocol": offered,
		"sec-websocket-key": websocketKey, "traceparent": traceparent,
	}
	responseHeaders = map[string]fields.ID{
		"sec-websocket-protocol": subprotocol, "sec-websocket-extensions": extensions,
	}
)

// headerField returns the field of a header, by its name in a configuration or as part of a variable's name.
func headerField(headers map[string]fields.ID, name string) fields.ID {
	if f, ok := headers[strings.ReplaceAll(strings.ToLower(name), "_", "-")]; ok {
		return f
	}
	return fields.None
}

func newLine() *fields.Line { return fields.NewLineOf(names[:]) }

// keys are the usual keys of JSON formats.
var keys = fields.ByName(names[:], 1)
