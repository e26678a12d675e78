package endpoint

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

var (
	proxies = []netip.Prefix{
		netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("2001:db8:aaaa::/48"), netip.MustParsePrefix("fe80::/10"),
	}
	proxy = netip.MustParseAddrPort("10.0.0.1:4711")
)

func TestWhereARequestComesFrom(t *testing.T) {
	t.Parallel()
	for sentence, test := range map[string]struct {
		peer   string // the proxy by default
		header string // X-Forwarded-For by default
		lines  []string
		want   string
	}{
		"nothing is said": {want: "10.0.0.1:4711"},
		"one address":     {lines: []string{"192.0.2.1"}, want: "192.0.2.1:0"},
		"who is not trusted may say what he likes": {peer: "192.0.2.66:1", lines: []string{"192.0.2.1"}, want: "192.0.2.66:1"},
		"an address that a client wrote before":    {lines: []string{"198.51.100.1, 192.0.2.1"}, want: "192.0.2.1:0"},
		"the same in a line of its own":            {lines: []string{"198.51.100.1", "192.0.2.1"}, want: "192.0.2.1:0"},
		"through two proxies":                      {lines: []string{"192.0.2.1, 10.9.9.9"}, want: "192.0.2.1:0"},
		"two proxies, two lines":                   {lines: []string{"198.51.100.1, 192.0.2.1", "10.9.9.9"}, want: "192.0.2.1:0"},
		"a client that says it is a proxy":         {lines: []string{"10.1.1.1, 10.2.2.2, 192.0.2.1"}, want: "192.0.2.1:0"},
		"all are proxies":                          {lines: []string{"10.3.3.3, 10.2.2.2"}, want: "10.3.3.3:0"},
		"an address with a port":                   {lines: []string{"192.0.2.1:8080"}, want: "192.0.2.1:8080"},
		"IPv6":                                     {lines: []string{"2001:db8::1"}, want: "[2001:db8::1]:0"},
		"IPv6 in brackets":                         {lines: []string{"[2001:db8::1]"}, want: "[2001:db8::1]:0"},
		"IPv6 with a port":                         {lines: []string{"[2001:db8::1]:443"}, want: "[2001:db8::1]:443"},
		"IPv6 with a zone":                         {lines: []string{"fec0::1%eth0"}, want: "[fec0::1]:0"},
		"IPv6 with a zone and a port":              {lines: []string{"192.0.2.1, [fe80::1%eth0]:443"}, want: "192.0.2.1:0"},
		"a proxy with a zone":                      {peer: "[fe80::7%lo]:1", lines: []string{"192.0.2.1"}, want: "192.0.2.1:0"},
		"an IPv6 proxy":                            {peer: "[2001:db8:aaaa::1]:1", lines: []string{"192.0.2.1"}, want: "192.0.2.1:0"},
		"a proxy as IPv4 in IPv6":                  {peer: "[::ffff:10.1.1.1]:1", lines: []string{"192.0.2.1"}, want: "192.0.2.1:0"},
		"a client as IPv4 in IPv6":                 {lines: []string{"::ffff:192.0.2.1"}, want: "192.0.2.1:0"},
		"a word that is no address":                {lines: []string{"192.0.2.1, unknown"}, want: "10.0.0.1:4711"},
		"behind a proxy a word that is none":       {lines: []string{"192.0.2.1, unknown, 10.9.9.9"}, want: "10.9.9.9:0"},
		"an empty line":                            {lines: []string{""}, want: "10.0.0.1:4711"},
		"an empty word":                            {lines: []string{"192.0.2.1,"}, want: "10.0.0.1:4711"},
		"IPv4 in brackets":                         {lines: []string{"[192.0.2.1]"}, want: "10.0.0.1:4711"},
		"a long zone":                              {lines: []string{"fe80::1%" + strings.Repeat("z", 9999)}, want: "10.0.0.1:4711"},
		"a thousand entries of a client":           {lines: []string{strings.Repeat("10.1.1.1, ", 1000) + "192.0.2.1"}, want: "192.0.2.1:0"},
		"a thousand lines of a client":             {lines: append(strings.Split(strings.Repeat("10.1.1.1 ", 1000), " "), "192.0.2.1"), want: "192.0.2.1:0"},
		"more proxies than there can be":           {lines: []string{"192.0.2.1" + strings.Repeat(", 10.1.1.1", 1000)}, want: "10.1.1.1:0"},
		"Forwarded":                                {header: Forwarded, lines: []string{"for=192.0.2.1"}, want: "192.0.2.1:0"},
		"Forwarded with more":                      {header: Forwarded, lines: []string{`For="192.0.2.1:80";proto=https;by=10.0.0.1;host="a,b;c"`}, want: "192.0.2.1:80"},
		"Forwarded with the address last":          {header: Forwarded, lines: []string{`proto=https;host="for=198.51.100.1";for=192.0.2.1`}, want: "192.0.2.1:0"},
		"Forwarded, IPv6":                          {header: Forwarded, lines: []string{`for=198.51.100.1, for="[2001:db8::1]:4711"`}, want: "[2001:db8::1]:4711"},
		"Forwarded, two proxies":                   {header: Forwarded, lines: []string{`for=198.51.100.1, for=192.0.2.1;proto=http, for="10.2.2.2"`}, want: "192.0.2.1:0"},
		"Forwarded, unknown":                       {header: Forwarded, lines: []string{"for=192.0.2.1, for=unknown"}, want: "10.0.0.1:4711"},
		"Forwarded, hidden":                        {header: Forwarded, lines: []string{"for=192.0.2.1, for=_proxy7"}, want: "10.0.0.1:4711"},
		"Forwarded without for":                    {header: Forwarded, lines: []string{"by=192.0.2.1"}, want: "10.0.0.1:4711"},
		"Forwarded with for twice":                 {header: Forwarded, lines: []string{"for=192.0.2.1;for=192.0.2.2"}, want: "10.0.0.1:4711"},
		"Forwarded with an escape":                 {header: Forwarded, lines: []string{`for="192.0.2.\1"`}, want: "10.0.0.1:4711"},
		"Forwarded with text behind the quotes":    {header: Forwarded, lines: []string{`for="192.0.2.1"x`}, want: "10.0.0.1:4711"},
		"a Host that looks like an element":        {header: Forwarded, lines: []string{`for=192.0.2.1;host="a\", for=198.51.100.1;x=\""`}, want: "10.0.0.1:4711"},
		"a Host that looks like a parameter":       {header: Forwarded, lines: []string{`host="a\";for=198.51.100.1;x=\"";for=192.0.2.1`}, want: "10.0.0.1:4711"},
		"quotes that a client left open":           {header: Forwarded, lines: []string{`for="198.51.100.1, for=192.0.2.1`}, want: "192.0.2.1:0"},
		"quotes that a client left open, IPv6":     {header: Forwarded, lines: []string{`for="x;", for="[2001:db8::1]"`}, want: "[2001:db8::1]:0"},
		"addresses without names in Forwarded":     {header: Forwarded, lines: []string{"192.0.2.1"}, want: "10.0.0.1:4711"},
	} {
		t.Run(sentence, func(t *testing.T) {
			t.Parallel()
			peer, header := proxy, XForwardedFor
			if test.peer != "" {
				peer = netip.MustParseAddrPort(test.peer)
			}
			if test.header != "" {
				header = test.header
			}
			before := strings.Join(test.lines, "\n")
			require.Equal(t, test.want, client(peer, test.lines, header, proxies).String())
			require.Equal(t, before, strings.Join(test.lines, "\n"), "the request stays as it was")
		})
	}
}

// FuzzClient: whatever a client writes, the last word is that of the proxy, and who is no proxy has none.
func FuzzClient(f *testing.F) {
	f.Add("192.0.2.1, 10.0.0.1", "2001:db8::1")
	f.Add(`a", for=198.51.100.1;x="`, "")
	f.Add(`for="[2001:db8::1%x]:1";by="a,\"b", for=_hidden`, "")
	f.Fuzz(func(t *testing.T, one, two string) {
		stranger := netip.MustParseAddrPort("192.0.2.66:5")
		for header, last := range map[string]string{XForwardedFor: "203.0.113.9", Forwarded: `for="203.0.113.9"`} {
			require.Equal(t, stranger, client(stranger, []string{one, two}, header, proxies))
			require.Equal(t, "203.0.113.9:0", client(proxy, []string{one, two + ", " + last}, header, proxies).String())
			require.Equal(t, "203.0.113.9:0", client(proxy, []string{one, two, last}, header, proxies).String())
			if header == Forwarded && !strings.ContainsAny(one, "\r\n") {
				quoted := `host="` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(one) + `"`
				for _, element := range []string{quoted + ";for=203.0.113.9", "for=203.0.113.9;" + quoted} {
					got := client(proxy, []string{two, two + "," + element}, header, proxies)
					require.Contains(t, []string{"203.0.113.9:0", proxy.String()}, got.String(), "nobody else, whatever the client's Host is")
				}
			}
			at := client(proxy, []string{one, two}, header, proxies)
			require.True(t, at.IsValid())
			require.Empty(t, at.Addr().Zone())
		}
	})
}

func TestPrefixesAreMadeComparable(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"10.1.2.3/8": "10.0.0.0/8", "::ffff:10.1.2.3/104": "10.0.0.0/8", "2001:db8::1/32": "2001:db8::/32",
	} {
		got, ok := normalPrefix(netip.MustParsePrefix(in))
		require.True(t, ok)
		require.Equal(t, want, got.String())
	}
	_, ok := normalPrefix(netip.Prefix{})
	require.False(t, ok)
	_, ok = normalPrefix(netip.MustParsePrefix("::ffff:0:0/90"))
	require.False(t, ok)
}
