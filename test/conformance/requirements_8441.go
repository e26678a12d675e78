package conformance

var requirements8441 = []Requirement{
	{"8441-3-1", mustNot, "A client uses extended CONNECT only if the server's SETTINGS_ENABLE_CONNECT_PROTOCOL is 1.", "", ofDialers},
	{"8441-4-1", must, "The request has :protocol, with websocket, beside the method CONNECT.", "TestExtendedConnectOverHTTP2 wire.TestExtendedConnect", ""},
	{"8441-4-2", must, "The request has :scheme and :path, and :authority names the server, not a hop.", "TestExtendedConnectOverHTTP2 wire.TestExtendedConnect", ""},
	{"8441-5-1", must, "Upgrade and Connection are not in the request: they are of HTTP/1.1.", "wire.TestExtendedConnect", ""},
	{"8441-5-2", must, "Sec-WebSocket-Version, -Protocol and -Extensions and Origin mean what they mean in HTTP/1.1.", "TestExtendedConnectOverHTTP2 wire.TestExtendedConnect", ""},
	{"8441-5-3", mustNot, "Sec-WebSocket-Key and -Accept are not processed.", "TestExtendedConnectOverHTTP2 wire.TestExtendedConnect", ""},
	{"8441-5-4", must, "A status of 2xx opens the connection, instead of 101.", "TestExtendedConnectOverHTTP2 wire.TestResponseToExtendedConnect", ""},
	{"8441-5-5", must, "The orderly end of the stream is that of a TCP connection; a reset of the stream is a reset of it.", "", ofServers},
	{"9220-3-1", should, "A :protocol that is not known is answered with 501.", "wire.TestExtendedConnect wire.TestARefusalIsAWholeResponse", ""},
}
