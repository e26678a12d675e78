package wire

// Deflate is permessage-deflate as client and server have agreed on it (RFC 7692 §7.1).
type Deflate struct {
	// ServerNoContextTakeover says that the server compresses each message by itself (§7.1.1.1).
	ServerNoContextTakeover bool
	// ClientNoContextTakeover says that the client does (§7.1.1.2).
	ClientNoContextTakeover bool
	// ServerMaxWindowBits bounds how far back the server refers, as a power of two: 8 to 15. Zero means 15 (§7.1.2.1).
	ServerMaxWindowBits int
	// ClientMaxWindowBits bounds how far back the client refers (§7.1.2.2).
	ClientMaxWindowBits int
}
