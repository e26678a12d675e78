package eventlog

import (
	"fmt"
	"reflect"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/sockeye-project/sockeye/event"
)

func TestTheLayoutOfPdataIsKnown(t *testing.T) {
	t.Parallel()
	require.True(t, direct, "pdata's memory looks different now: records cost an allocation a value until memory.go follows")
}

func TestTypesThatLookDifferentInMemoryAreNotAlike(t *testing.T) {
	t.Parallel()
	type named struct{ S string }
	require.True(t, alike(reflect.TypeFor[*[]named](), reflect.TypeFor[*[]struct{ string }]()))
	for name, c := range map[string][2]reflect.Type{
		"another kind":   {reflect.TypeFor[string](), reflect.TypeFor[int64]()},
		"another width":  {reflect.TypeFor[int32](), reflect.TypeFor[int64]()},
		"one field more": {reflect.TypeFor[struct{ a, b string }](), reflect.TypeFor[struct{ a string }]()},
		"another field":  {reflect.TypeFor[struct{ a string }](), reflect.TypeFor[struct{ a [2]int64 }]()},
		"another order": {reflect.TypeFor[struct {
			a int64
			b string
		}](), reflect.TypeFor[struct {
			b string
			a int64
		}]()},
		"another element":   {reflect.TypeFor[[]string](), reflect.TypeFor[[]int64]()},
		"another pointer":   {reflect.TypeFor[*string](), reflect.TypeFor[*int64]()},
		"methods":           {reflect.TypeFor[error](), reflect.TypeFor[any]()},
		"a kind not looked": {reflect.TypeFor[map[string]int](), reflect.TypeFor[map[string]int]()},
	} {
		require.False(t, alike(c[0], c[1]), name)
	}
}

// built returns the records of events as a Builder makes them, and as pdata's methods do.
func built(events []event.Event) (direct, methods plog.LogRecordSlice) {
	b := NewBuilder()
	methods = plog.NewLogRecordSlice()
	for i := range events {
		b.Add(&events[i])
		EncodeRecord(methods.AppendEmpty(), &events[i])
	}
	direct = plog.NewLogRecordSlice()
	for _, rl := range b.Logs(Chunk{}).ResourceLogs().All() {
		rl.ScopeLogs().At(0).LogRecords().MoveAndAppendTo(direct)
	}
	return direct, methods
}

// many are n events of all kinds of values, each with values of its own.
func many(n int) []event.Event {
	events := make([]event.Event, n)
	for i := range events {
		e := &events[i]
		e.Name, e.Time = event.Close, time.Unix(int64(i+1), 0)
		e.SetString(event.URLPath, fmt.Sprintf("/%d", i))
		e.SetInt(event.IOSent, int64(i))
		e.SetDouble(event.ConnectionDuration, float64(i)/8)
		e.SetBool(event.CloseClean, i%2 == 0)
		e.SetStrings(event.Extensions, fmt.Sprint(i), "x")
		if i%5 == 0 {
			e.AddExtra("app", event.String(fmt.Sprint(i)))
		}
	}
	return events
}

func TestRecordsAreThoseThatPdatasMethodsMake(t *testing.T) {
	t.Parallel()
	for name, events := range map[string][]event.Event{"samples": samples(t), "many": many(1000)} {
		got, want := built(events)
		require.Equal(t, want.Len(), got.Len(), name)
		for i := range want.Len() {
			require.Equal(t, want.At(i), got.At(i), "%s: %d", name, i)
		}
	}
}

func TestWhoeverGetsARecordMayChangeIt(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(pcommon.Map){
		"set": func(m pcommon.Map) {
			for _, v := range m.All() {
				v.SetStr("changed")
			}
		},
		"set another type": func(m pcommon.Map) {
			for _, v := range m.All() {
				v.SetEmptyMap().PutInt("n", 1)
			}
		},
		"put more than there is room for": func(m pcommon.Map) {
			for i := range 10 {
				m.PutStr(fmt.Sprint("new", i), "new")
			}
		},
		"remove":    func(m pcommon.Map) { m.Remove(event.URLPath.String()); m.PutBool("new", true) },
		"remove if": func(m pcommon.Map) { m.RemoveIf(func(k string, _ pcommon.Value) bool { return k < "v" }) },
		"clear":     func(m pcommon.Map) { m.Clear(); m.PutStr("new", "new") },
		"copy over": func(m pcommon.Map) {
			other := pcommon.NewMap()
			for i := range 9 {
				other.PutDouble(fmt.Sprint(i), 1)
			}
			other.CopyTo(m)
		},
		"move away": func(m pcommon.Map) { m.MoveTo(pcommon.NewMap()); m.PutStr("new", "new") },
		"change a list": func(m pcommon.Map) {
			v, _ := m.Get(event.Extensions.String())
			v.Slice().At(0).SetStr("changed")
			v.Slice().AppendEmpty().SetStr("new")
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, want := built(many(300))
			for i := range want.Len() {
				if i%3 == 1 {
					change(got.At(i).Attributes())
					change(want.At(i).Attributes())
				}
			}
			for i := range want.Len() {
				require.Equal(t, want.At(i), got.At(i), i)
			}
		})
	}
}

func TestRecordsOutliveTheirBuilder(t *testing.T) {
	t.Parallel()
	events := many(2000)
	b := NewBuilder()
	var all []plog.Logs
	for range 3 { // the second and third in memory of the size of the first
		for i := range events {
			b.Add(&events[i])
		}
		all = append(all, b.Logs(Chunk{ID: "c"}))
		runtime.GC()
		require.Zero(t, b.Records())
	}
	b.Add(&events[0])
	b.Reset()
	require.Zero(t, b.Logs(Chunk{ID: "c"}).LogRecordCount())
	want := Encode(events, Chunk{ID: "c"})
	for _, ld := range all {
		require.Equal(t, want, ld)
	}
}

func TestAChunkTakesAboutTheMemoryOfTheOneBefore(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		share float64
		most  int
	}{
		"as large":      {1, 1000},
		"a tenth":       {0.1, 100},
		"nothing known": {-1, leastBlock},
	} {
		var b block[int64]
		for range 1000 {
			b.take(1)
		}
		require.Less(t, b.made, 1000+1000/4, name)
		b = b.next()
		b = b.next() // a chunk without any says nothing
		b.expect(c.share)
		b.take(1)
		require.Equal(t, c.most, b.made, name)
	}
	b := block[int64]{expected: 10 * mostBlock}
	b.take(1)
	require.Equal(t, mostBlock, b.made, "what is only expected has a limit")
	b.take(2 * mostBlock)
	require.Equal(t, 3*mostBlock, b.made)
}

func TestARecordCostsFewAllocations(t *testing.T) {
	events := many(1000)
	for i := range events { // lists, and what is not of the model, cost more
		events[i] = event.Event{Name: events[i].Name, Time: events[i].Time}
		events[i].SetString(event.URLPath, "/")
		events[i].SetInt(event.IOSent, 1)
		events[i].SetDouble(event.ConnectionDuration, 1)
		events[i].SetBool(event.CloseClean, true)
	}
	b := NewBuilder()
	n := testing.AllocsPerRun(10, func() {
		for i := range events {
			b.Add(&events[i])
		}
		_ = b.Logs(Chunk{ID: "c"})
	})
	require.Less(t, n, 1.1*float64(len(events)), "one for each record, and blocks")
}
