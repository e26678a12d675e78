package main

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"math"
	"strconv"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
)

// looseObject is what a JSON object that is no event has beside attributes. Its members come out in their order.
type looseObject struct {
	time, observed string
	hasEvent       bool
}

// maxNesting bounds recursion over a stranger's JSON.
const maxNesting = 64

var errNotObject = errors.New("not a JSON object")

// readObject fills lr and resource from line. Members that the NDJSON form knows (time, event, resource) are read as
// that form's where they have its types; all others are attributes.
func readObject(line []byte, lr plog.LogRecord, resource pcommon.Resource) (looseObject, error) {
	var o looseObject
	d := json.NewDecoder(bytes.NewReader(line))
	d.UseNumber()
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return o, errNotObject
	}
	if err := readMembers(d, lr.Attributes(), 0); err != nil {
		return o, err
	}
	if _, err := d.Token(); err != io.EOF {
		return o, errNotObject
	}
	attrs := lr.Attributes()
	attrs.RemoveIf(func(key string, v pcommon.Value) bool {
		switch key {
		case "time":
			return readTime(v, &o.time, lr.SetTimestamp)
		case "observed_time":
			return readTime(v, &o.observed, lr.SetObservedTimestamp)
		case "event":
			if v.Type() != pcommon.ValueTypeStr {
				return false
			}
			o.hasEvent = true
			lr.SetEventName(v.Str())
			return true
		case "trace_id":
			var id pcommon.TraceID
			ok := v.Type() == pcommon.ValueTypeStr && readHex(v.Str(), id[:])
			if ok {
				lr.SetTraceID(id)
			}
			return ok
		case "span_id":
			var id pcommon.SpanID
			ok := v.Type() == pcommon.ValueTypeStr && readHex(v.Str(), id[:])
			if ok {
				lr.SetSpanID(id)
			}
			return ok
		case "resource":
			if v.Type() != pcommon.ValueTypeMap {
				return false
			}
			v.Map().CopyTo(resource.Attributes())
			return true
		}
		return false
	})
	return o, nil
}

func readTime(v pcommon.Value, text *string, set func(pcommon.Timestamp)) bool {
	if v.Type() != pcommon.ValueTypeStr {
		return false
	}
	t, err := time.Parse(time.RFC3339Nano, v.Str())
	if err != nil || t.Unix() < 0 {
		return false
	}
	*text = t.Format(time.RFC3339Nano)
	set(pcommon.NewTimestampFromTime(t))
	return true
}

func readHex(text string, dst []byte) bool {
	if len(text) != hex.EncodedLen(len(dst)) {
		return false
	}
	_, err := hex.Decode(dst, []byte(text))
	return err == nil
}

func readMembers(d *json.Decoder, m pcommon.Map, depth int) error {
	for d.More() {
		t, err := d.Token()
		if err != nil {
			return errNotObject
		}
		key, ok := t.(string)
		if !ok {
			return errNotObject
		}
		if err := readValue(d, m.PutEmpty(key), depth+1); err != nil {
			return err
		}
	}
	_, err := d.Token()
	if err != nil {
		return errNotObject
	}
	return nil
}

func readValue(d *json.Decoder, v pcommon.Value, depth int) error {
	if depth > maxNesting {
		return errors.New("nested deeper than 64 levels")
	}
	t, err := d.Token()
	if err != nil {
		return errNotObject
	}
	switch t := t.(type) {
	case string:
		v.SetStr(t)
	case bool:
		v.SetBool(t)
	case json.Number:
		readNumber(t.String(), v)
	case json.Delim:
		if t == '{' {
			return readMembers(d, v.SetEmptyMap(), depth)
		}
		list := v.SetEmptySlice()
		for d.More() {
			if err := readValue(d, list.AppendEmpty(), depth+1); err != nil {
				return err
			}
		}
		if _, err := d.Token(); err != nil {
			return errNotObject
		}
	}
	return nil
}

func readNumber(text string, v pcommon.Value) {
	if i, err := strconv.ParseInt(text, 10, 64); err == nil {
		v.SetInt(i)
		return
	}
	f, err := strconv.ParseFloat(text, 64)
	if err != nil || !bytes.ContainsAny([]byte(text), ".eE") {
		// More digits than a number keeps: they are looked at, and come out, as text.
		v.SetStr(text)
		return
	}
	v.SetDouble(f)
}

// append writes the object back.
func (o *looseObject) append(dst []byte, lr plog.LogRecord, resource pcommon.Resource) []byte {
	dst = append(dst, '{')
	first := true
	member := func(name string) {
		if !first {
			dst = append(dst, ',')
		}
		first = false
		dst = append(appendJSONString(dst, name), ':')
	}
	if o.time != "" {
		member("time")
		dst = appendJSONString(dst, o.time)
	}
	if o.observed != "" {
		member("observed_time")
		dst = appendJSONString(dst, o.observed)
	}
	if o.hasEvent && lr.EventName() != "" {
		member("event")
		dst = appendJSONString(dst, lr.EventName())
	}
	if id := lr.TraceID(); !id.IsEmpty() {
		member("trace_id")
		dst = appendJSONString(dst, id.String())
	}
	if id := lr.SpanID(); !id.IsEmpty() {
		member("span_id")
		dst = appendJSONString(dst, id.String())
	}
	for k, v := range lr.Attributes().All() {
		member(k)
		dst = appendJSONValue(dst, v)
	}
	if resource.Attributes().Len() > 0 {
		member("resource")
		dst = appendJSONMap(dst, resource.Attributes())
	}
	return append(dst, '}')
}

func appendJSONMap(dst []byte, m pcommon.Map) []byte {
	dst = append(dst, '{')
	for k, v := range m.All() {
		if dst[len(dst)-1] != '{' {
			dst = append(dst, ',')
		}
		dst = appendJSONValue(append(appendJSONString(dst, k), ':'), v)
	}
	return append(dst, '}')
}

func appendJSONValue(dst []byte, v pcommon.Value) []byte {
	switch v.Type() {
	case pcommon.ValueTypeStr:
		return appendJSONString(dst, v.Str())
	case pcommon.ValueTypeBool:
		return strconv.AppendBool(dst, v.Bool())
	case pcommon.ValueTypeInt:
		return strconv.AppendInt(dst, v.Int(), 10)
	case pcommon.ValueTypeDouble:
		if f := v.Double(); !math.IsNaN(f) && !math.IsInf(f, 0) {
			return strconv.AppendFloat(dst, f, 'g', -1, 64)
		}
	case pcommon.ValueTypeMap:
		return appendJSONMap(dst, v.Map())
	case pcommon.ValueTypeSlice:
		dst = append(dst, '[')
		for i, item := range v.Slice().All() {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = appendJSONValue(dst, item)
		}
		return append(dst, ']')
	}
	return append(dst, "null"...)
}

func appendJSONString(dst []byte, s string) []byte {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	// Encoding a string cannot fail.
	_ = e.Encode(s)
	return append(dst, bytes.TrimSuffix(b.Bytes(), []byte("\n"))...)
}
