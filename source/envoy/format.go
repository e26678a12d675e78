package envoy

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/sockeye-project/sockeye/source/access"
	"github.com/sockeye-project/sockeye/source/fields"
)

// The formats that need no template, the one with most operators first. The first is Istio's, the last Envoy's own, and
// between them is the one with details that Envoy's examples use.
var builtIn = []string{
	`[%START_TIME%] "%REQ(:METHOD)% %REQ(X-ENVOY-ORIGINAL-PATH?:PATH)% %PROTOCOL%" %RESPONSE_CODE% %RESPONSE_FLAGS% ` +
		`%RESPONSE_CODE_DETAILS% %CONNECTION_TERMINATION_DETAILS% "%UPSTREAM_TRANSPORT_FAILURE_REASON%" %BYTES_RECEIVED% ` +
		`%BYTES_SENT% %DURATION% ` + tail + ` %UPSTREAM_CLUSTER_RAW% %UPSTREAM_LOCAL_ADDRESS% %DOWNSTREAM_LOCAL_ADDRESS% ` +
		`%DOWNSTREAM_REMOTE_ADDRESS% %REQUESTED_SERVER_NAME% %ROUTE_NAME%`,
	`[%START_TIME%] "%REQ(:METHOD)% %REQ(X-ENVOY-ORIGINAL-PATH?:PATH)% %PROTOCOL%" %RESPONSE_CODE% %RESPONSE_FLAGS% ` +
		`%RESPONSE_CODE_DETAILS% %BYTES_RECEIVED% %BYTES_SENT% %DURATION% ` + tail,
	`[%START_TIME%] "%REQ(:METHOD)% %REQ(X-ENVOY-ORIGINAL-PATH?:PATH)% %PROTOCOL%" %RESPONSE_CODE% %RESPONSE_FLAGS% ` +
		`%BYTES_RECEIVED% %BYTES_SENT% %DURATION% ` + tail,
}

const tail = `%RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)% "%REQ(X-FORWARDED-FOR)%" "%REQ(USER-AGENT)%" ` +
	`"%REQ(X-REQUEST-ID)%" "%REQ(:AUTHORITY)%" "%UPSTREAM_HOST%"`

// format is a format compiled.
type format struct {
	scanner fields.Scanner
	start   access.TimeFormat
	// unit is that of %DURATION%.
	unit time.Duration
	has  [fieldCount]bool
}

// compile takes a format as it stands in Envoy's configuration: the text of text_format, or json_format as YAML or JSON.
func compile(text string, zone *time.Location) (*format, error) {
	f := &format{start: access.RFC3339, unit: time.Millisecond}
	text = strings.TrimRight(text, "\r\n")
	var tree yaml.Node
	// A format with operators alone is no mapping: it has no key.
	err := yaml.Unmarshal([]byte(text), &tree)
	if err == nil && len(tree.Content) == 1 && tree.Content[0].Kind == yaml.MappingNode {
		node := find(tree.Content[0], 0)
		if node.Kind == yaml.MappingNode {
			return f, f.json(node, zone)
		}
		text = strings.TrimRight(node.Value, "\r\n")
	}
	text = strings.ReplaceAll(strings.ReplaceAll(text, `\"`, `"`), `\n`, "")
	tokens, err := f.tokens(text, zone)
	if err != nil {
		return nil, err
	}
	f.scanner, err = fields.NewTemplate(tokens, fields.Plain)
	return f, err
}

// find returns the value of the key under which Envoy's configuration has a format, or node itself.
func find(node *yaml.Node, depth int) *yaml.Node {
	for i := 0; i+1 < len(node.Content); i += 2 {
		key, value := node.Content[i].Value, node.Content[i+1]
		switch key {
		case "log_format", "text_format_source":
			if value.Kind == yaml.MappingNode && depth < maxDepth {
				return find(value, depth+1)
			}
		case "json_format":
			if value.Kind == yaml.MappingNode {
				return value
			}
		case "text_format", "inline_string", "format":
			if value.Kind == yaml.ScalarNode && strings.Contains(value.Value, "%START_TIME") && len(node.Content) == 2 {
				return value
			}
		}
	}
	return node
}

// json compiles the mapping of json_format.
func (f *format) json(root *yaml.Node, zone *time.Location) error {
	byKey := map[string]fields.ID{}
	if err := f.members("", root, 0, byKey, zone); err != nil {
		return err
	}
	if len(byKey) == 0 {
		return errors.New("json_format has no operator that says anything about a request")
	}
	f.scanner = fields.NewJSON(byKey)
	return nil
}

// maxDepth bounds the objects in objects of a format.
const maxDepth = 8

func (f *format) members(
	prefix string, node *yaml.Node, depth int, byKey map[string]fields.ID, zone *time.Location,
) error {
	for i := 0; i+1 < len(node.Content); i += 2 {
		key, value := prefix+node.Content[i].Value, node.Content[i+1]
		switch {
		case value.Kind == yaml.MappingNode && depth < maxDepth:
			if err := f.members(key+".", value, depth+1, byKey, zone); err != nil {
				return err
			}
		case value.Kind == yaml.ScalarNode:
			tokens, err := f.tokens(value.Value, zone)
			if err != nil {
				return fmt.Errorf("%s: %w", key, err)
			}
			if len(tokens) == 1 && tokens[0].Literal == "" && tokens[0].Field != fields.None {
				byKey[key] = tokens[0].Field
			}
		}
	}
	return nil
}

// tokens takes a text with operators apart.
func (f *format) tokens(text string, zone *time.Location) (tokens []fields.Token, err error) {
	for i := 0; i < len(text); {
		if text[i] != '%' || strings.HasPrefix(text[i:], "%%") {
			n := len(tokens)
			if n == 0 || tokens[n-1].Literal == "" {
				tokens = append(tokens, fields.Token{})
				n++
			}
			tokens[n-1].Literal += text[i : i+1]
			if text[i] == '%' {
				i++
			}
			i++
			continue
		}
		at := "column " + strconv.Itoa(i+1)
		end := operatorEnd(text[i:])
		if end < 0 {
			return nil, fmt.Errorf("%s: the operator is not closed with %%", at)
		}
		operator := text[i+1 : i+end]
		i += end + 1
		token, err := f.operator(operator, at, zone)
		if err != nil {
			return nil, err
		}
		tokens = append(tokens, token)
	}
	return tokens, nil
}

// operatorEnd returns where the operator at the beginning of s ends; its arguments may have percent signs themselves.
func operatorEnd(s string) int {
	i := 1
	for i < len(s) && (s[i] >= 'A' && s[i] <= 'Z' || s[i] == '_' || s[i] >= '0' && s[i] <= '9') {
		i++
	}
	if i < len(s) && s[i] == '(' {
		end := strings.IndexByte(s[i:], ')')
		if end < 0 {
			return -1
		}
		i += end
	}
	end := strings.IndexByte(s[i:], '%')
	if end < 0 {
		return -1
	}
	return i + end
}

// operator returns the token of an operator without its percent signs.
func (f *format) operator(operator, at string, zone *time.Location) (fields.Token, error) {
	name, arguments, found := strings.Cut(operator, "(")
	if found {
		arguments, _, _ = strings.Cut(arguments, ")")
	}
	token := fields.Token{Name: "%" + operator + "%", At: at, Field: fields.None}
	switch name {
	case "START_TIME", "START_TIME_LOCAL":
		token.Field = startTime
		if arguments != "" {
			start, ok := access.NewTimeFormat(arguments, zone)
			if !ok {
				return token, fmt.Errorf("%s: the format of %s cannot be read; "+
					"use %%Y-%%m-%%dT%%H:%%M:%%S.%%3fZ or %%s.%%3f", at, name)
			}
			f.start = start
			token.Words = start.Words()
		}
	case "COMMON_DURATION":
		// COMMON_DURATION(START:END:PRECISION).
		parts := strings.Split(arguments, ":")
		if len(parts) == 3 && parts[0] == "DS_RX_BEG" && parts[1] == "DS_TX_END" {
			token.Field = duration
			switch parts[2] {
			case "us":
				f.unit = time.Microsecond
			case "ns":
				f.unit = time.Nanosecond
			}
		}
	default:
		// What follows the arguments is how much of a value is kept.
		whole := name
		if found {
			whole += "(" + arguments + ")"
		}
		token.Field = operatorField(whole)
	}
	if token.Field != fields.None {
		f.has[token.Field] = true
	}
	return token, nil
}

// advise says what a format lacks.
func (f *format) advise() (advice []string) {
	for _, a := range []struct {
		ok   bool
		text string
	}{
		{f.has[upgrade] || f.has[connectProtocol], `add "%REQ(UPGRADE)%", or name websocket_paths, to see handshakes that were rejected`},
		{f.has[duration], "add %DURATION%, to see how long connections lasted and when they closed"},
		{f.has[flags], "add %RESPONSE_FLAGS%, to see who ended a connection"},
		{f.has[responseDuration] || f.has[upstreamServiceTime], "add %RESPONSE_DURATION%, to see how long handshakes took"},
		{f.has[authority] || f.has[host], `add "%REQ(:AUTHORITY)%", to tell hosts apart`},
		{f.has[requestID] || f.has[streamID] || f.has[remoteAddress], "add %STREAM_ID% or %DOWNSTREAM_REMOTE_ADDRESS%, to tell connections apart"},
	} {
		if !a.ok {
			advice = append(advice, a.text)
		}
	}
	return advice
}

// faults says without what a format is of no use.
func (f *format) faults() error {
	var faults []error
	if !f.has[startTime] {
		faults = append(faults, errors.New("add %START_TIME%: without a time no line can be used"))
	}
	if !f.has[status] {
		faults = append(faults, errors.New("add %RESPONSE_CODE%: without it no line says what became of a handshake"))
	}
	return errors.Join(faults...)
}
