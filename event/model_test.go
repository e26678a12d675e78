package event

import (
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

var (
	sampleTime     = time.Date(2026, 11, 22, 10, 0, 11, 356000001, time.UTC)
	sampleResource = NewResource(
		Named{ServiceName, String("chat")}, Named{ServiceInstanceID, String("edge-1")},
		Named{Environment, String("production")}, Named{Region, String("eu-central-1")},
		Named{"k8s.pod.labels", Strings([]string{"a", "b"})}, Named{"process.pid", Int(17)},
	)
)

// exampleOf is the value that the table gives as k's example.
func exampleOf(t testing.TB, k Key) Value {
	d := k.Definition()
	switch d.Kind {
	case KindInt:
		n, err := strconv.ParseInt(d.Example, 10, 64)
		require.NoError(t, err, k)
		return Int(n)
	case KindDouble:
		f, err := strconv.ParseFloat(d.Example, 64)
		require.NoError(t, err, k)
		return Double(f)
	case KindBool:
		b, err := strconv.ParseBool(d.Example)
		require.NoError(t, err, k)
		return Bool(b)
	case KindStrings:
		return Strings(strings.Split(d.Example, ","))
	}
	return String(d.Example)
}

// samples returns two events of every name, one with what it requires and one with all that it may have.
func samples(t testing.TB) []Event {
	var all []Event
	for i := range Schemas() {
		s := &Schemas()[i]
		for _, full := range []bool{false, true} {
			e := Event{Name: s.Name, Time: sampleTime, Resource: sampleResource}
			if full {
				e.Observed = sampleTime.Add(90 * time.Minute)
				e.TraceID = [16]byte{0x0a, 0xf7, 15: 1}
				e.SpanID = [8]byte{0xb7, 7: 2}
			}
			for _, k := range Keys() {
				if !s.Allows(k) || !full && !s.needs.has(k) {
					continue
				}
				v := exampleOf(t, k)
				if k == ErrorType {
					v = String(s.ErrorTypes[0])
				}
				e.Set(k, v)
			}
			all = append(all, e)
		}
	}
	return all
}

func TestEveryAttributeIsDescribedOnce(t *testing.T) {
	t.Parallel()
	name := regexp.MustCompile(`^[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)+$`)
	seen := map[string]bool{}
	require.Len(t, Keys(), int(keyCount)-1)
	for _, k := range Keys() {
		d := k.Definition()
		require.Regexp(t, name, d.Name)
		require.False(t, seen[d.Name], "%s stands twice", d.Name)
		seen[d.Name] = true
		require.NotEmpty(t, d.Brief, d.Name)
		require.True(t, strings.HasSuffix(d.Brief, "."), "%s: the brief is a sentence", d.Name)
		require.NotEmpty(t, d.Level, d.Name)
		require.NotEmpty(t, d.Origin, d.Name)
		require.True(t, k.Accepts(exampleOf(t, k)), "%s: its example breaks its own rule", d.Name)
		require.Equal(t, d.Kind == KindInt, d.Max > d.Min, "%s: an int has bounds, nothing else has", d.Name)
		require.Contains(t, []string{"", "s", "By"}, d.Unit, d.Name)
		if d.Values != nil {
			require.True(t, d.Low && d.Kind == KindString, "%s: a closed set is a low string", d.Name)
		}
		got, ok := KeyOf(d.Name)
		require.True(t, ok)
		require.Equal(t, k, got)
		for _, other := range []string{d.Name + "x", d.Name[1:], d.Name[:3], strings.ToUpper(d.Name), ""} {
			_, ok := KeyOf(other)
			require.False(t, ok, other)
		}
		require.Equal(t, d.Name, k.String())
		require.Equal(t, d.Origin == Ours, strings.HasPrefix(d.Name, "websocket.") || d.Name == "client.hash" ||
			strings.HasPrefix(d.Name, "sockeye.") ||
			d.Name == "process.open_file_descriptor.limit" || d.Name == "process.memory.limit", "%s: what is not ours has semconv's name", d.Name)
	}
	_, ok := KeyOf("websocket.nonsense")
	require.False(t, ok)
	require.Empty(t, Key(250).String())
	require.False(t, Key(0).Accepts(Value{}))
}

func TestEveryEventIsDescribedAndEveryAttributeIsUsed(t *testing.T) {
	t.Parallel()
	used := map[Key]bool{}
	errorTypes := map[string]bool{}
	for _, s := range Schemas() {
		require.NotEmpty(t, s.Brief, s.Name)
		require.NotEmpty(t, s.Severity.String(), s.Name)
		require.True(t, s.Name.Known())
		here := map[Key]bool{}
		for _, k := range append(append([]Key(nil), s.Needs...), s.May...) {
			require.False(t, here[k], "%s lists %s twice", s.Name, k)
			here[k], used[k] = true, true
		}
		require.Equal(t, here[ErrorType], s.ErrorTypes != nil, "%s: error.type and its values go together", s.Name)
		for _, typ := range s.ErrorTypes {
			require.Contains(t, faultsByType, typ, s.Name)
			errorTypes[typ] = true
		}
	}
	for _, k := range append(append([]Key(nil), commonNeeds...), commonMay...) {
		require.False(t, used[k], "%s is common and listed besides", k)
		used[k] = true
	}
	for _, k := range Keys() {
		require.True(t, used[k], "no event may have %s", k)
	}
	for _, d := range ErrorTypes() {
		require.True(t, errorTypes[d.Type], "no event may have error.type %s", d.Type)
		require.Contains(t, Faults(), d.Fault, d.Type)
		require.NotEmpty(t, d.Brief, d.Type)
	}
	require.Len(t, faultsByType, len(ErrorTypes()), "an error type stands twice")
	require.False(t, Name("websocket.nonsense").Known())
	require.Equal(t, SeverityInfo, (&Event{}).Severity())
}

func TestARequiredAttributeOfTheTableIsNeededSomewhere(t *testing.T) {
	t.Parallel()
	for _, k := range Keys() {
		needed := false
		for i := range Schemas() {
			needed = needed || Schemas()[i].needs.has(k)
		}
		if k.Definition().Level == Required {
			require.True(t, needed, k)
		} else if needed {
			require.Equal(t, Conditional, k.Definition().Level, k)
		}
	}
}

func TestSeverityFollowsTheOutcome(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name  Name
		key   Key
		value Value
		want  Severity
	}{
		{Auth, AuthResult, String(AuthSuccess), SeverityInfo},
		{Auth, AuthResult, String(AuthFailure), SeverityWarn},
		{Close, CloseClean, Bool(true), SeverityInfo},
		{Close, CloseClean, Bool(false), SeverityWarn},
		{Close, ErrorType, String(ConnectionReset), SeverityWarn},
		{Close, ErrorType, String(IdleTimeout), SeverityInfo},
		{AuthRefreshed, ErrorType, String(TokenExpired), SeverityWarn},
		{Open, HTTPResponseStatusCode, Int(101), SeverityInfo},
		{Frame, FrameOpcode, String("ping"), SeverityTrace},
		{Message, MessageType, String(MessageText), SeverityDebug},
		{Error, ErrorType, String(InvalidUTF8), SeverityError},
	} {
		e := Event{Name: c.name}
		e.Set(c.key, c.value)
		require.Equal(t, c.want, e.Severity(), "%s with %s %s", c.name, c.key, c.value.Text())
	}
}

func TestAnEventHoldsWhatWasSet(t *testing.T) {
	t.Parallel()
	var e Event
	e.SetString(Vantage, VantageEdge)
	e.SetInt(ServerPort, 443)
	e.SetInt(ServerPort, 8443)
	e.SetDouble(PingRTT, 0.5)
	e.SetBool(CloseClean, true)
	e.SetStrings(Extensions, "permessage-deflate")
	e.AddExtra("app.room", Int(7))
	require.Equal(t, VantageEdge, e.String(Vantage))
	require.Equal(t, int64(8443), e.Get(ServerPort).Int())
	require.InDelta(t, 0.5, e.Get(PingRTT).Double(), 0)
	require.True(t, e.Get(CloseClean).Bool())
	require.Equal(t, []string{"permessage-deflate"}, e.Get(Extensions).Strings())
	require.False(t, e.Has(CloseCode))
	require.Equal(t, 5, e.Len())

	c := e.Clone()
	e.Set(ServerPort, Value{})
	require.False(t, e.Has(ServerPort))
	require.True(t, c.Has(ServerPort))
	e.Reset()
	require.Zero(t, e.Len())
	require.Empty(t, e.Extra())
	require.Len(t, c.Extra(), 1)
	require.PanicsWithValue(t, "event: server.port is int, not string", func() { e.SetString(ServerPort, "443") })
}

func TestAValueIsOfOneKind(t *testing.T) {
	t.Parallel()
	for want, v := range map[string]Value{
		"a": String("a"), "-7": Int(-7), "1.5": Double(1.5), "true": Bool(true), "a,b": Strings([]string{"a", "b"}), "": {},
	} {
		require.Equal(t, want, v.Text())
		require.True(t, v.Equal(v)) //nolint:gocritic // reflexive on purpose
		require.Equal(t, v.Kind() == KindInt, v.Int() != 0)
		require.Equal(t, v.Kind() == KindBool, v.Bool())
		require.Equal(t, v.Kind() == KindStrings, v.Strings() != nil)
	}
	require.False(t, Int(1).Equal(Double(1)))
	require.InDelta(t, 3.0, Int(3).Double(), 0)
	require.Equal(t, "string[]", KindStrings.String())
}

func TestAResourceIsSortedAndUnique(t *testing.T) {
	t.Parallel()
	r := NewResource(Named{"b", Int(1)}, Named{"a", String("x")}, Named{"b", Int(2)})
	require.Equal(t, []Named{{"a", String("x")}, {"b", Int(2)}}, r.Attributes())
	require.Equal(t, "x", r.String("a"))
	require.Empty(t, r.String("b"), "not a string")
	require.Empty(t, (*Resource)(nil).String("a"))
}

func TestErrorTypesMapToFaults(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		errorType string
		status    int
		want      Fault
	}{
		{"", 503, FaultNone},
		{Unauthenticated, 401, FaultClient},
		{Forbidden, 403, FaultPolicy},
		{IDPTimeout, 0, FaultIDP},
		{ConnectionReset, 0, FaultNetwork},
		{OtherError, 500, FaultServer},
		{OtherError, 418, FaultClient},
		{OtherError, 0, FaultUnknown},
		{"not of the model", 502, FaultServer},
		{"not of the model", 700, FaultUnknown},
	} {
		require.Equal(t, c.want, FaultOf(c.errorType, c.status), "%q %d", c.errorType, c.status)
	}
}

func TestAStatusExplainsARejection(t *testing.T) {
	t.Parallel()
	for status, want := range map[int]string{
		0: ClientAborted, 499: ClientAborted, 200: NotUpgraded, 302: NotUpgraded, 400: BadHandshake, 401: Unauthenticated,
		403: Forbidden, 404: BadHandshake, 407: Unauthenticated, 426: BadHandshake, 429: TypeRateLimited, 500: OtherError,
		501: OtherError, 502: UpstreamUnavailable, 503: UpstreamUnavailable, 504: UpstreamTimeout, 520: OtherError,
	} {
		got := RejectionFor(status)
		require.Equal(t, want, got, status)
		require.Contains(t, HandshakeRejected.Schema().ErrorTypes, got)
		if status >= 500 {
			require.Equal(t, FaultServer, FaultOf(got, status), status)
		}
	}
}

func TestCloseCodes(t *testing.T) {
	t.Parallel()
	last := 0
	for _, d := range CloseCodes() {
		require.Greater(t, d.Code, last, "ascending, so that CloseCodeOf finds them")
		last = d.Code
		require.Regexp(t, `^[a-z_]+$`, d.Name)
		require.Equal(t, d.Code, CloseCodeOf(d.Code).Code)
		require.True(t, CloseCode.Accepts(Int(int64(d.Code))))
	}
	require.Nil(t, CloseCodeOf(1016))
	// RFC 6455 §7.4: the same list as Autobahn's cases 7.7.* and 7.9.*.
	for _, code := range []int{1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3000, 3999, 4000, 4999} {
		require.True(t, CloseCodeSendable(code), code)
	}
	for _, code := range []int{-1, 0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65535} {
		require.False(t, CloseCodeSendable(code), code)
	}
	for code, want := range map[int]string{
		0: "invalid", 999: "invalid", 1000: "1000", 1006: "1006", 1016: "1xxx", 2500: "2xxx", 3000: "3000", 3001: "3xxx",
		4000: "4xxx", 4001: "4001", 4999: "4xxx", 5000: "invalid", 6000: "invalid", -1: "invalid",
	} {
		require.Equal(t, want, CloseCodeClass(code, 4001, 6000), code)
	}
}
