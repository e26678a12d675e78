package modsecurity

import "github.com/sockeye-project/sockeye/source/fields"

// The fields of a transaction.
const (
	stamp fields.ID = iota
	uniqueID
	clientIP
	clientPort
	method
	version
	uri
	requestLine
	requestHeaders
	code
	responseHeaders
	interrupted
	intercepted
	interception
	messages
	fieldCount
)

// keys are the fields' names as libmodsecurity (3.x) writes them, and after it as ModSecurity 2.9 does.
var keys = [fieldCount][]string{
	stamp:           {"transaction.time_stamp", "transaction.time"},
	uniqueID:        {"transaction.unique_id", "transaction.transaction_id"},
	clientIP:        {"transaction.client_ip", "transaction.remote_address"},
	clientPort:      {"transaction.client_port", "transaction.remote_port"},
	method:          {"transaction.request.method"},
	version:         {"transaction.request.http_version"},
	uri:             {"transaction.request.uri"},
	requestLine:     {"request.request_line"},
	requestHeaders:  nil,
	code:            {"transaction.response.http_code", "response.status"},
	responseHeaders: nil,
	interrupted:     {"transaction.is_interrupted"},
	intercepted:     {"audit_data.action.intercepted"},
	interception:    {"audit_data.action.message"},
	messages:        {"transaction.messages"},
}
