package embedded

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// shape is what must be known of a column's type to find the end of its data in Native format.
type shape struct {
	kind  shapeKind
	width uint64   // of a value of shapeFixed
	inner []*shape // what it is made of
}

type shapeKind int

const (
	shapeFixed shapeKind = iota
	shapeText
	shapeNullable
	shapeArray
	shapeTuple
	shapeLow // LowCardinality
)

// maxTypeBytes and maxTypeDepth bound what a client may call a type.
const (
	maxTypeBytes = 64 << 10
	maxTypeDepth = 32
)

// errUnknownType says that the end of such a column cannot be found without knowing more than its shape.
var errUnknownType = errors.New("unknown type")

// widths are those of types whose values all have as many bytes. A Point is a tuple of two columns, which together
// have as many.
var widths = map[string]uint64{
	"Int8": 1, "UInt8": 1, "Bool": 1, "Enum8": 1, "Nothing": 1,
	"Int16": 2, "UInt16": 2, "Enum16": 2, "Date": 2, "BFloat16": 2,
	"Int32": 4, "UInt32": 4, "Float32": 4, "Date32": 4, "DateTime": 4, "DateTime32": 4, "IPv4": 4, "Time": 4,
	"Int64": 8, "UInt64": 8, "Float64": 8, "DateTime64": 8, "Time64": 8,
	"Int128": 16, "UInt128": 16, "UUID": 16, "IPv6": 16, "Point": 16,
	"Int256": 32, "UInt256": 32,
}

func parseShape(typ string) (*shape, error) {
	if len(typ) > maxTypeBytes {
		return nil, fmt.Errorf("a type's name has %d bytes; at most %d are taken", len(typ), maxTypeBytes)
	}
	return parseShapeAt(typ, 0)
}

func parseShapeAt(typ string, depth int) (*shape, error) {
	if depth > maxTypeDepth {
		return nil, fmt.Errorf("a type is nested more than %d deep", maxTypeDepth)
	}
	name, inside, isCall := strings.Cut(strings.TrimSpace(typ), "(")
	var args []string
	if isCall {
		var closed bool
		if inside, closed = strings.CutSuffix(inside, ")"); !closed {
			return nil, fmt.Errorf("%w %q", errUnknownType, shorten(typ))
		}
		args = splitTopLevel(inside, ',')
	}
	all := func(kind shapeKind, types ...string) (*shape, error) {
		s := &shape{kind: kind}
		for _, t := range types {
			inner, err := parseShapeAt(t, depth+1)
			if err != nil {
				return nil, err
			}
			s.inner = append(s.inner, inner)
		}
		return s, nil
	}
	if width, ok := widths[name]; ok {
		return &shape{width: width}, nil
	}
	switch {
	case name == "String":
		return &shape{kind: shapeText}, nil
	case strings.HasPrefix(name, "Interval"):
		return &shape{width: 8}, nil
	case name == "FixedString" && len(args) == 1:
		width, err := strconv.ParseUint(strings.TrimSpace(args[0]), 10, 24)
		if err != nil || width == 0 {
			return nil, fmt.Errorf("%w %q", errUnknownType, shorten(typ))
		}
		return &shape{width: width}, nil
	case name == "Decimal" && len(args) == 2:
		precision, err := strconv.ParseUint(strings.TrimSpace(args[0]), 10, 8)
		if err != nil || precision == 0 || precision > 76 {
			return nil, fmt.Errorf("%w %q", errUnknownType, shorten(typ))
		}
		width := uint64(4)
		for _, most := range []uint64{9, 18, 38} {
			if precision > most {
				width *= 2
			}
		}
		return &shape{width: width}, nil
	case name == "Nullable" && len(args) == 1:
		return all(shapeNullable, args...)
	case name == "Array" && len(args) == 1:
		return all(shapeArray, args...)
	case name == "Ring", name == "LineString":
		return all(shapeArray, "Point")
	case name == "Polygon", name == "MultiLineString":
		return all(shapeArray, "Ring")
	case name == "MultiPolygon":
		return all(shapeArray, "Polygon")
	case name == "Map" && len(args) == 2:
		return all(shapeArray, "Tuple("+inside+")")
	case name == "Nested" && len(args) > 0:
		return all(shapeArray, "Tuple("+inside+")")
	case name == "Tuple" && isCall && len(args) > 0:
		for i, arg := range args {
			// An element may have a name before its type.
			if parts := splitTopLevel(strings.TrimSpace(arg), ' '); len(parts) == 2 {
				arg = parts[1]
			}
			args[i] = arg
		}
		return all(shapeTuple, args...)
	case name == "SimpleAggregateFunction" && len(args) == 2:
		return parseShapeAt(args[1], depth+1)
	case name == "LowCardinality" && len(args) == 1:
		// A NULL is a key of the dictionary, which itself is not nullable.
		key := strings.TrimSpace(args[0])
		if within, ok := strings.CutPrefix(key, "Nullable("); ok {
			key = strings.TrimSuffix(within, ")")
		}
		s, err := all(shapeLow, key)
		if err == nil && s.inner[0].kind > shapeText {
			err = fmt.Errorf("%w %q", errUnknownType, shorten(typ))
		}
		return s, err
	}
	return nil, fmt.Errorf("%w %q", errUnknownType, shorten(typ))
}

func shorten(text string) string { return text[:min(len(text), 60)] }

// splitTopLevel cuts text at a separator outside of brackets and quotes.
func splitTopLevel(text string, separator byte) []string {
	var parts []string
	depth, from := 0, 0
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case c == '\'' || c == '`' || c == '"':
			for i++; i < len(text) && text[i] != c; i++ {
				if text[i] == '\\' {
					i++
				}
			}
		case c == '(':
			depth++
		case c == ')':
			depth--
		case c == separator && depth == 0:
			parts, from = append(parts, text[from:i]), i+1
		}
	}
	return append(parts, text[from:])
}
