package websocketeventprocessor

import (
	"bytes"
	"encoding/json"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/sockeye-project/sockeye/source"
)

// timeKey is the member by which a rendered object has the record's own time, for mappings.
const timeKey = "log.timestamp"

var errMalformed error = &source.Error{Reason: source.MalformedJSON}

// recordTime is when the record says that it happened, or was seen; a record that says neither happens now.
func recordTime(lr plog.LogRecord) time.Time {
	switch {
	case lr.Timestamp() != 0:
		return lr.Timestamp().AsTime()
	case lr.ObservedTimestamp() != 0:
		return lr.ObservedTimestamp().AsTime()
	}
	return time.Now()
}

// lineOf returns the line that a record stands for, in the memory of buf where it can.
func (p *eventProcessor) lineOf(lr plog.LogRecord, at time.Time, buf []byte) ([]byte, error) {
	if p.cfg.From == fromAttributes {
		return render(lr.Attributes(), at)
	}
	body := lr.Body()
	switch body.Type() {
	case pcommon.ValueTypeStr:
		return bytes.TrimRight(append(buf, body.Str()...), "\r\n"), nil
	case pcommon.ValueTypeBytes:
		return bytes.TrimRight(append(buf, body.Bytes().AsRaw()...), "\r\n"), nil
	case pcommon.ValueTypeMap:
		return render(body.Map(), at)
	}
	return buf, errMalformed
}

// render writes a map as a JSON object, with the record's time unless at is zero.
func render(m pcommon.Map, at time.Time) ([]byte, error) {
	object := m.AsRaw()
	if _, there := object[timeKey]; !there && !at.IsZero() {
		object[timeKey] = at.UTC().Format(time.RFC3339Nano)
	}
	line, err := json.Marshal(object)
	if err != nil {
		return nil, errMalformed // NaN or infinite
	}
	return line, nil
}
