package conformance

var requirements8441 = []Requirement{
	{"8441-3-1", must, "SETTINGS_ENABLE_CONNECT_PROTOCOL is 0 or 1.", "", ofServers},
	{"8441-3-2", mustNot, "It is not 0 once it was 1.", "", ofServers},
	{"8441-4-1", must, "A request with :protocol has :scheme and :path too.", "TestExtendedConnectOverHTTP2 wire.TestExtendedConnect", ""},
	{"8441-4-2", mustNot, "The server makes no tunnel to the host that :authority names: it is the server's own.", "TestExtendedConnectOverHTTP2 wire.TestExtendedConnect", ""},
	{"8441-5-1", must, "The request has :protocol, which is websocket.", "TestExtendedConnectOverHTTP2 wire.TestExtendedConnect", ""},
	{"8441-5-2", must, "The scheme is https for wss, and http for ws.", "", ofDialers},
	{"8441-5-3", mustNot, "Upgrade and Connection are not in the request: they are of HTTP/1.1.", "wire.TestExtendedConnect", ""},
	{"8441-5-4", must, "Sec-WebSocket-Key and -Accept are not processed.", "TestExtendedConnectOverHTTP2 wire.TestExtendedConnect", ""},
	{"8441-5-5", must, "Origin and Sec-WebSocket-Version, -Protocol and -Extensions mean what they mean in HTTP/1.1.", "TestExtendedConnectOverHTTP2 wire.TestExtendedConnect", ""},
	{"8441-5-6", should, "Once the handshake succeeds, with a status of 2xx, the stream takes the place of the TCP connection.", "TestExtendedConnectOverHTTP2 wire.TestResponseToExtendedConnect", ""},
	{"8441-5-7", must, "The orderly end of the stream is that of a TCP connection; a reset of the stream is a reset of it.", "", ofServers},
	{"9220-3-1", must, "Over HTTP/3 the setting and the fields mean what they mean over HTTP/2.", "wire.TestExtendedConnect", ""},
	{"9220-3-2", should, "A :protocol that is not known is answered with 501.", "wire.TestExtendedConnect wire.TestARefusalIsAWholeResponse", ""},
	{"9220-3-3", must, "The orderly end of the stream is its FIN; a reset is the error H3_REQUEST_CANCELLED.", "", ofServers},
}
