package modsecurity

import (
	"bytes"
	"encoding/json"
	"strings"

	"github.com/sockeye-project/sockeye/source"
	"github.com/sockeye-project/sockeye/source/fields"
)

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
	messages
	intercepted
	interception
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
	requestHeaders:  {"transaction.request.headers{}", "request.headers{}"},
	code:            {"transaction.response.http_code", "response.status"},
	responseHeaders: {"transaction.response.headers{}"},
	messages:        {"transaction.messages"},
	intercepted:     {"audit_data.action.intercepted"},
	interception:    {"audit_data.action.message"},
}

var fieldsByName = fields.ByName(keys[:], 0)

func newLine() *fields.Line {
	names := make([]string, fieldCount)
	for f := range names {
		names[f] = strings.TrimSuffix(keys[f][0], "{}")
	}
	return fields.NewLine(names)
}

// maxPart bounds the objects and lists that are looked into.
const maxPart = 256 << 10

// headers reads an object of headers by names in lower case; nil if it is none.
func headers(raw []byte) map[string]string {
	if len(raw) == 0 || len(raw) > maxPart {
		return nil
	}
	var object map[string]any
	if json.NewDecoder(bytes.NewReader(raw)).Decode(&object) != nil {
		return nil
	}
	m := make(map[string]string, len(object))
	for name, v := range object {
		if text, ok := v.(string); ok {
			m[strings.ToLower(name)] = source.Text(text)
		}
	}
	return m
}

// lastRule returns the id of the last rule that matched: with libmodsecurity the one that refused, since nothing is
// matched after it.
func lastRule(raw []byte) string {
	if len(raw) > maxPart {
		return ""
	}
	var list []struct {
		Details struct {
			RuleID string `json:"ruleId"`
		}
	}
	if json.Unmarshal(raw, &list) != nil || len(list) == 0 {
		return ""
	}
	return list[len(list)-1].Details.RuleID
}

// ruleOf returns the id in a message of ModSecurity 2: … [id "949110"] …
func ruleOf(message string) string {
	_, rest, ok := strings.Cut(message, `[id "`)
	if !ok {
		return ""
	}
	id, _, ok := strings.Cut(rest, `"`)
	if !ok {
		return ""
	}
	return id
}

// number reports whether id is what rules have, so that nothing else becomes a dimension.
func number(id string) bool {
	if id == "" || len(id) > 12 {
		return false
	}
	for _, c := range id {
		if c < '0' || c > '9' {
			return false
		}
	}
	return true
}
