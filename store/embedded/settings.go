package embedded

import (
	"cmp"
	"fmt"
	"math"
	"net"
	"slices"
	"strconv"
	"strings"
)

// Parameter is a query parameter: {name:Type} in the statement, param_name in the request.
type Parameter struct{ Name, Value string }

// setting is one ClickHouse setting of a request.
type setting struct{ name, value string }

// DefaultMemoryBytes bounds the engine's memory: one large aggregation alone was seen to take 2 GiB.
const DefaultMemoryBytes = 2 << 30

// Settings say which engine to run and how to serve it.
type Settings struct {
	// Library is the path of the engine's library; "" searches the usual places (FindLibrary).
	Library string
	// DataDir holds the tables. One process at a time.
	DataDir string
	// Listen is host:port of the HTTP interface; port 0 takes a free one.
	Listen string
	// ListenNative is host:port of the native protocol, "" for none; port 0 takes a free one.
	ListenNative string
	// MemoryBytes is the engine's max_server_memory_usage.
	MemoryBytes int64
	// Token is the password every request must carry; "" allows loopback addresses only.
	Token string
	// ReadOnlyToken is another password, with which nothing can be changed. It needs a Token beside it.
	ReadOnlyToken string
}

// Addresses are where the engine answers.
type Addresses struct{ HTTP, Native string }

// loopback says whether only this machine can reach the address.
func loopback(listen string) bool {
	host, _, err := net.SplitHostPort(listen)
	if err != nil {
		return false
	}
	if host == "localhost" {
		return true
	}
	ip := net.ParseIP(strings.Trim(host, "[]"))
	return ip != nil && ip.IsLoopback()
}

// poolKey names connections that are alike: same database, same settings.
func poolKey(database string, settings []setting) string {
	sorted := slices.Clone(settings)
	slices.SortFunc(sorted, func(a, b setting) int {
		return cmp.Or(cmp.Compare(a.name, b.name), cmp.Compare(a.value, b.value))
	})
	var key strings.Builder
	key.WriteString(database)
	for _, s := range sorted {
		key.WriteByte(0)
		key.WriteString(s.name)
		key.WriteByte('=')
		key.WriteString(s.value)
	}
	return key.String()
}

// summary counts what a statement did.
type summary struct{ readRows, readBytes, writtenRows, writtenBytes uint64 }

// progress is how much a statement has read so far, and of how many rows, 0 where that is not known.
type progress struct{ rows, bytes, total uint64 }

// ParseBytes reads an amount of memory: a number of bytes, or one with the unit KiB, MiB, GiB or TiB.
func ParseBytes(text string) (int64, error) {
	number, unit := strings.TrimSpace(text), int64(1)
	for i, suffix := range []string{"KiB", "MiB", "GiB", "TiB"} {
		if trimmed, ok := strings.CutSuffix(number, suffix); ok {
			number, unit = strings.TrimSpace(trimmed), int64(1)<<(10*(i+1))
			break
		}
	}
	n, err := strconv.ParseInt(number, 10, 64)
	if err != nil || n <= 0 || n > math.MaxInt64/unit {
		return 0, fmt.Errorf("must be an amount such as 512MiB or 2GiB, got %q", text)
	}
	return n * unit, nil
}
