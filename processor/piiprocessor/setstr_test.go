package piiprocessor

import (
	"reflect"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
)

// TestPdataLayout fails when pdata keeps strings in another way than setStr knows. Redaction still works then, at one
// allocation for each masked value: read pdata's SetStr and teach stringHolder, or delete setStr.
func TestPdataLayout(t *testing.T) {
	require.NotNil(t, holderType)
	values := pcommon.NewSlice()
	v := values.AppendEmpty()
	v.SetStr("before")
	require.Zero(t, testing.AllocsPerRun(100, func() { setStr(v, "after") }))
	require.Equal(t, "after", v.Str())
}

func TestUnknownLayoutsHaveNoHolder(t *testing.T) {
	t.Parallel()
	type (
		holder      struct{ S string }
		holderBytes struct{ S []byte }
		holderMore  struct {
			S    string
			Hash uint64
		}
		cellAny  struct{ V any }
		cellMore struct {
			V    any
			Size int
		}
		cellTyped struct{ V *holder }
		state     struct{}
	)
	for what, tt := range map[string]struct {
		v    any
		want reflect.Type
	}{
		"pdata's": {struct {
			*cellAny
			*state
		}{&cellAny{&holder{}}, &state{}}, reflect.TypeFor[*holder]()},
		"no struct": {"x", nil},
		"no state":  {struct{ *cellAny }{&cellAny{&holder{}}}, nil},
		"an id first": {struct {
			id int
			*cellAny
		}{1, &cellAny{&holder{}}}, nil},
		"a state that is no pointer": {struct {
			*cellAny
			state uint64
		}{&cellAny{&holder{}}, 1}, nil},
		"nothing": {struct {
			*cellAny
			*state
		}{}, nil},
		"nothing in the cell": {struct {
			*cellAny
			*state
		}{&cellAny{}, &state{}}, nil},
		"a string by value": {struct {
			*cellAny
			*state
		}{&cellAny{"x"}, &state{}}, nil},
		"a pointer to a string": {struct {
			*cellAny
			*state
		}{&cellAny{new(string)}, &state{}}, nil},
		"a nil holder": {struct {
			*cellAny
			*state
		}{&cellAny{(*holder)(nil)}, &state{}}, nil},
		"bytes": {struct {
			*cellAny
			*state
		}{&cellAny{&holderBytes{}}, &state{}}, nil},
		"a hash beside the string": {struct {
			*cellAny
			*state
		}{&cellAny{&holderMore{}}, &state{}}, nil},
		"a size beside the holder": {struct {
			*cellMore
			*state
		}{&cellMore{V: &holder{}}, &state{}}, nil},
		"a cell without an interface": {struct {
			*cellTyped
			*state
		}{&cellTyped{&holder{}}, &state{}}, nil},
	} {
		require.Equal(t, tt.want, stringHolder(tt.v), what)
	}
}

func TestSetStr(t *testing.T) {
	t.Parallel()
	for what, v := range map[string]pcommon.Value{
		"empty": pcommon.NewValueEmpty(), "a string": pcommon.NewValueStr("secret"), "an int": pcommon.NewValueInt(4),
		"a double": pcommon.NewValueDouble(4), "a bool": pcommon.NewValueBool(true), "bytes": pcommon.NewValueBytes(),
		"a map": pcommon.NewValueMap(), "a list": pcommon.NewValueSlice(),
	} {
		setStr(v, "masked")
		require.Equal(t, pcommon.ValueTypeStr, v.Type(), what)
		require.Equal(t, "masked", v.Str(), what)
	}
}

func TestSetStrChangesNoOtherValue(t *testing.T) {
	t.Parallel()
	original := pcommon.NewMap()
	original.PutStr("key", "secret")
	v, _ := original.Get("key")
	read := v.Str()

	copied := pcommon.NewMap()
	original.CopyTo(copied)
	setStr(v, "masked")
	require.Equal(t, map[string]any{"key": "secret"}, copied.AsRaw())
	require.Equal(t, "secret", read)

	c, _ := copied.Get("key")
	setStr(c, "other")
	require.Equal(t, map[string]any{"key": "masked"}, original.AsRaw())

	moved := pcommon.NewValueEmpty()
	v.MoveTo(moved)
	v.SetStr("new")
	setStr(moved, "moved")
	setStr(v, "newer")
	require.Equal(t, "moved", moved.Str())
	require.Equal(t, "newer", v.Str())
}

func TestSetStrPanicsWhereDataAreReadOnly(t *testing.T) {
	t.Parallel()
	ld := plog.NewLogs()
	body := ld.ResourceLogs().AppendEmpty().ScopeLogs().AppendEmpty().LogRecords().AppendEmpty().Body()
	body.SetStr("secret")
	ld.MarkReadOnly()
	require.Panics(t, func() { setStr(body, "masked") })
	require.Equal(t, "secret", body.Str())
}
