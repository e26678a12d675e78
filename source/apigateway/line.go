package apigateway

import "github.com/sockeye-project/sockeye/source/fields"

// The fields of a line.
const (
	timeEpoch fields.ID = iota
	timeText
	requestID
	connectionID
	eventType
	routeKey
	status
	direction
	connectedAt
	disconnectCode
	disconnectReason
	domainName
	sourceIP
	userAgent
	authorizerStatus
	authorizerLatency
	fieldCount
)

// variables are the names of the fields: AWS's $context variable, which is what the reader of an error finds in the
// format, and after it the other keys that people give it in JSON.
var variables = [fieldCount][]string{
	timeEpoch:         {"requestTimeEpoch", "request_time_epoch", "timestamp"},
	timeText:          {"requestTime", "request_time", "time"},
	requestID:         {"requestId", "request_id", "extendedRequestId"},
	connectionID:      {"connectionId", "connection_id"},
	eventType:         {"eventType", "event_type"},
	routeKey:          {"routeKey", "route_key", "route"},
	status:            {"status", "statusCode", "status_code"},
	direction:         {"messageDirection", "message_direction"},
	connectedAt:       {"connectedAt", "connected_at"},
	disconnectCode:    {"disconnectStatusCode", "disconnect_status_code"},
	disconnectReason:  {"disconnectReason", "disconnect_reason"},
	domainName:        {"domainName", "domain_name"},
	sourceIP:          {"identity.sourceIp", "sourceIp", "source_ip", "ip", "clientIp"},
	userAgent:         {"identity.userAgent", "userAgent", "user_agent"},
	authorizerStatus:  {"authorizer.status", "authorizerStatus", "authorizer_status"},
	authorizerLatency: {"authorizer.latency", "authorizerLatency", "authorizer_latency"},
}

// fieldsByName has every name of every field, also as members of "requestContext", which is how a Lambda function that
// logs its event writes them.
var fieldsByName = func() map[string]fields.ID {
	m := map[string]fields.ID{}
	for f, names := range variables {
		for _, name := range names {
			m[name], m["requestContext."+name] = fields.ID(f), fields.ID(f)
		}
	}
	return m
}()

func newLine() *fields.Line { return fields.NewLineOf(variables[:]) }
