package eventdoc

import (
	"fmt"
	"strconv"

	"github.com/sockeye-project/sockeye/event"
)

// reasons explains what package event only names.
var reasons = map[string]string{
	event.ReasonMalformedJSON:      "The line is not one JSON object.",
	event.ReasonBadText:            "Text that is not UTF-8, half a surrogate pair, or NUL.",
	event.ReasonTooDeep:            fmt.Sprintf("Objects or lists nested deeper than %d.", event.MaxDepth),
	event.ReasonTooLarge:           fmt.Sprintf("More than %d members.", event.MaxMembers),
	event.ReasonDuplicateKey:       "A member stands twice.",
	event.ReasonBadTime:            "No time, one that is not RFC 3339, or one outside the years 1970 to 2261.",
	event.ReasonUnknownEvent:       "No event name, or one that is not on this page.",
	event.ReasonUnknownAttribute:   "An attribute that is not on this page, where the reader does not keep those for the pii processor to judge.",
	event.ReasonMisplacedAttribute: "An attribute that does not belong to this event.",
	event.ReasonMissingAttribute:   "A required attribute is absent.",
	event.ReasonWrongType:          "A value of another type than the attribute's.",
	event.ReasonBadValue:           "A value outside its set or its bounds.",
}

func (w *writer) form() {
	w.line("## The NDJSON form")
	w.line("One JSON object a line. These members are not attributes:")
	w.line(table([]string{"member", "required", "value"}, 6, func(i int) []string {
		return [][]string{
			{"`time`", "yes", "when it happened: RFC 3339 with up to nine digits of a second, such as `2026-11-22T10:00:11.356Z`"},
			{"`observed_time`", "", "when the source wrote it down, if that was later"},
			{"`event`", "yes", "the event's name"},
			{"`trace_id`", "", "the trace that the event belongs to: 32 hexadecimal digits"},
			{"`span_id`", "", "the span that it happened in, for the endpoint the handshake's: 16 hexadecimal digits; only with `trace_id`"},
			{"`resource`", "", "an object: attributes of who reports, by name; free, but flat"},
		}[i]
	}))
	w.line("Everything else is an attribute by its name. A double may be written as an integer. Two required attributes " +
		"may be left out: `" + event.NetworkProtocolName.String() + "`, which can only be `" + event.ProtocolWebSocket +
		"`, and `" + event.SourceEvidence.String() + "`, which is then `" + event.EvidenceObserved + "`. So this is all " +
		"that an application has to send for an authentication that failed because the identity provider was down:")
	e := sample(event.Auth)
	for _, k := range []event.Key{event.NetworkProtocolName, event.SourceEvidence} {
		e.Set(k, event.Value{})
	}
	e.SetString(event.Vantage, event.VantageApp)
	e.SetString(event.SourceVisibility, event.VisibilityAtOpen)
	e.SetString(event.SourceType, "chat-server")
	e.SetString(event.AuthResult, event.AuthFailure)
	e.SetString(event.ErrorType, event.IDPTimeout)
	e.SetDouble(event.AuthDuration, 5)
	w.line("```json\n" + string(e.AppendJSON(nil)) + "\n```")
	w.line("A line that breaks these rules is refused as a whole. The answer names every fault, with its byte and the " +
		"attribute, never a value; the line is counted by the reason of its first fault:")
	all := event.Reasons()
	w.line(table([]string{"reason", "meaning"}, len(all), func(i int) []string {
		return []string{"`" + all[i] + "`", reasons[all[i]]}
	}))
}

func (w *writer) resource() {
	w.line("## On the resource")
	names := [][]string{
		{event.ServiceName, "required", "The service that the connections belong to."},
		{event.ServiceNamespace, "recommended", "What groups services."},
		{event.ServiceInstanceID, "recommended", "The instance that reports."},
		{event.ServiceVersion, "recommended", "Its version."},
		{event.Environment, "recommended", "Such as production."},
		{event.Region, "recommended", "Where it runs."},
		{event.HostName, "recommended", "On which host."},
	}
	w.line(table([]string{"attribute", "level", "meaning"}, len(names), func(i int) []string {
		return []string{"`" + names[i][0] + "`", names[i][1], names[i][2]}
	}))
	w.line("Others, such as `k8s.pod.name`, pass through. All names are OpenTelemetry's.")
}

// counts says how an event of s counts, from what package event makes of a sample.
func counts(s *event.Schema) string {
	if s.SeverityOnFailure != 0 {
		return "success or failure"
	}
	if o := sample(s.Name).Facts().Outcome; o != event.OutcomeUnknown {
		return string(o)
	}
	return "-"
}

func (w *writer) counting() {
	w.line("## How events count")
	w.line("* An event counts as a success, as a failure, or not at all; an indicator's *coverage* is the share of " +
		"events that could be judged.\n" +
		"* `" + string(event.Auth) + "` goes by `" + event.AuthResult.String() + "`, `" + string(event.AuthRefreshed) + "` by the absence of `" + event.ErrorType.String() + "`.\n" +
		"* `" + string(event.Close) + "` is a failure, an unexpected disconnect, where `" + event.CloseClean.String() + "` is false or `" + event.ErrorType.String() + "` is " +
		"`" + event.ConnectionReset + "`, `" + event.ConnectionLost + "` or `" + event.UpstreamLost + "`; a success where it was clean; else it is not judged.\n" +
		"* `" + string(event.Message) + "`, `" + string(event.MessageRejected) + "`, `" + string(event.MessageFlagged) + "` and `" + string(event.MessageDropped) + "` count `" + event.MessageCount.String() + "` times.\n" +
		"* An indicator counts one vantage. The same connection seen by a proxy and by the application is not counted twice.\n" +
		"* A source whose visibility is `" + event.VisibilityAtClose + "` writes a success when the connection ends and a rejection at once. Its events are counted by `observed_time`, " +
		"else short windows would see rejections only.\n" +
		"* Opens, rejections, closes, authentications and errors are never sampled.")
}

func (w *writer) closeCodes() {
	codes := event.CloseCodes()
	w.line("## Close codes")
	w.line("`" + event.CloseCode.String() + "` is set only where the Close frame was seen. A code that is " +
		"not *sendable* stands for what an endpoint saw instead of one; in a frame it is a protocol error (`" + event.InvalidCloseCode + "`).")
	w.line(table([]string{"code", "name", "sendable", "defined in", "meaning"}, len(codes), func(i int) []string {
		sendable := "no"
		if codes[i].Sendable {
			sendable = "yes"
		}
		return []string{strconv.Itoa(codes[i].Code), codes[i].Name, sendable, codes[i].Section, codes[i].Brief}
	}))
	w.line("3000 to 3999 are for libraries and frameworks, 4000 to 4999 for applications (RFC 6455 §7.4.2). In " +
		"metrics a code that is not in this table becomes its class, `" + event.CloseCodeClass(3999) + "` or `" + event.CloseCodeClass(4999) + "`, unless it is on an allow-list.")
}

func (w *writer) equivalents() {
	w.line("## Equivalents")
	w.line("Neither ECS 9 nor OCSF 1.9 has a WebSocket object. What comes closest:")
	events := []struct {
		name      event.Name
		ecs, ocsf string
	}{
		{event.Open, "`event.category: network`, `event.type: connection, start`", "Network Activity 4001, activity 1 Open"},
		{event.HandshakeRejected, "`event.category: network`, `event.type: connection, denied`", "4001, activity 4 Fail or 5 Refuse; HTTP Activity 4002 for the status"},
		{event.Auth, "`event.category: authentication`, `event.outcome`", "Authentication 3002, activity 1 Logon"},
		{event.Message, "-", "4001, activity 6 Traffic"},
		{event.Close, "`event.category: network`, `event.type: connection, end`", "4001, activity 2 Close or 3 Reset"},
	}
	w.line(table([]string{"event", "ECS", "OCSF"}, len(events), func(i int) []string {
		return []string{"`" + string(events[i].name) + "`", events[i].ecs, events[i].ocsf}
	}))
	attributes := []struct {
		key       event.Key
		ecs, ocsf string
	}{
		{event.NetworkProtocolName, "`network.protocol`", "-"},
		{event.NetworkTransport, "`network.transport`", "`connection_info.protocol_name`"},
		{event.ServerAddress, "`server.address`", "`dst_endpoint.hostname`"},
		{event.ServerPort, "`server.port`", "`dst_endpoint.port`"},
		{event.ClientAddress, "`client.address`", "`src_endpoint.ip`"},
		{event.ClientPort, "`client.port`", "`src_endpoint.port`"},
		{event.URLPath, "`url.path`", "`http_request.url.path`"},
		{event.URLQuery, "`url.query`", "`http_request.url.query_string`"},
		{event.HTTPRequestMethod, "`http.request.method`", "`http_request.http_method`"},
		{event.HTTPResponseStatusCode, "`http.response.status_code`", "`http_response.code`"},
		{event.UserAgentOriginal, "`user_agent.original`", "`http_request.user_agent`"},
		{event.UserID, "`user.id`", "`user.uid`"},
		{event.UserEmail, "`user.email`", "`user.email_addr`"},
		{event.UserHash, "`user.hash`", "-"},
		{event.TLSProtocolVersion, "`tls.version`", "`tls.version`"},
		{event.ErrorType, "`error.type`", "`status_detail`"},
		{event.IOReceived, "`client.bytes`", "`traffic.bytes_in`"},
		{event.IOSent, "`server.bytes`", "`traffic.bytes_out`"},
	}
	w.line(table([]string{"attribute", "ECS", "OCSF"}, len(attributes), func(i int) []string {
		return []string{"`" + attributes[i].key.String() + "`", attributes[i].ecs, attributes[i].ocsf}
	}))
}

// bounds says in words what the table says in numbers.
func bounds(d *event.Definition) string {
	switch {
	case d.Kind == event.KindInt && d.Max <= 65535:
		return fmt.Sprintf(" Between %d and %d.", d.Min, d.Max)
	case d.Kind == event.KindInt && d.Max == 1e9:
		return " At most 1e9."
	}
	return ""
}
