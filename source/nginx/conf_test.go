package nginx_test

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/require"

	"github.com/sockeye-project/sockeye/internal/testenv"
	"github.com/sockeye-project/sockeye/source/nginx"
	"github.com/sockeye-project/sockeye/source/sourcetest"
)

// files makes a file system of alternating names and texts.
func files(pairs ...string) fstest.MapFS {
	fsys := fstest.MapFS{}
	for i := 0; i < len(pairs); i += 2 {
		fsys[strings.TrimPrefix(pairs[i], "/")] = &fstest.MapFile{Data: []byte(pairs[i+1])}
	}
	return fsys
}

const mainConf = `
user www-data; # include /none;
events { worker_connections 768; }
http {
  log_format json escape=json '{"status":$status,'
                              '"msec":"${msec}"}';
  log_format "odd" "$status \"$request\" it's \\ $msec";
  access_log /var/log/nginx/access.log;
  include conf.d/*.conf;
  include "/etc/other/site.conf";
  content_by_lua_block {
    -- it's a comment with a "quote and a }
    local s = "a \" } string" .. 'and }' .. [[ and " ]] --[[ and
    ' this ]]
    if s then x = { } end
  }
  map $http_upgrade $connection_upgrade { default upgrade; '' close; }
  server {
    access_log off;
    access_log logs/ws.log json buffer=32k flush=1s;
    location /a { access_log syslog:server=unix:/dev/log json; access_log /var/log/$host.log json; }
    location ~ "^/b{2}$" { access_log "/var/log/nginx/odd.log" odd if=$loggable; return 200 "{;}"; }
  }
}
stream {
  log_format json '$protocol';
  server { access_log /var/log/nginx/stream.log json; include stream.d/*.conf; }
}
`

func TestTheFormatOfALogIsFoundInNginxConf(t *testing.T) {
	t.Parallel()
	fsys := files("/etc/nginx/nginx.conf", mainConf,
		"/etc/nginx/conf.d/a.conf", "server { access_log /var/log/nginx/a.log later; }",
		"/etc/nginx/stream.d/a.conf", "log_format odd '$protocol'; access_log /var/log/nginx/stream2.log;",
		"/etc/nginx/conf.d/b.conf", "log_format later '$msec $status';",
		"/etc/other/site.conf", "access_log /srv/x.log gzip=1; access_log /srv/missing.log none;\n access_log /srv/two.log json; access_log /srv/two.log odd;"+
			" log_format bad '$msec $status$host'; access_log /srv/bad.log bad;")
	c, err := nginx.ReadConf(fsys, "/etc/nginx/nginx.conf")
	require.NoError(t, err)

	const (
		json = `escape=json '{"status":$status,' '"msec":"${msec}"}'`
		odd  = `'$status "$request" it\'s \\ $msec'`
	)
	for log, want := range map[string]string{
		"/var/log/nginx/access.log":            nginx.Combined,
		"/var/log/nginx/access.log.1":          nginx.Combined,
		"/var/log/nginx/access.log-2026-11-22": nginx.Combined,
		"/usr/share/nginx/logs/ws.log":         json,
		"/opt/nginx/logs/ws.log.2.gz":          json,
		"/var/log/nginx/odd.log":               odd,
		"/var/log/nginx/a.log":                 "'$msec $status'",
		"/srv/x.log":                           nginx.Combined,
	} {
		got, err := c.FormatOf(log)
		require.NoError(t, err, log)
		require.Equal(t, want, got, log)
		_, err = nginx.New(sourcetest.Settings(), nginx.Options{Template: got})
		require.NoError(t, err, log)
	}
	for log, want := range map[string]string{
		"/var/log/nginx/other.log":   "no access_log writes /var/log/nginx/other.log; name the log_format, one of bad, combined, json, later, odd",
		"/var/log/nginx/access.logs": "no access_log writes /var/log/nginx/access.logs; name the log_format, one of bad, combined, json, later, odd",
		"/var/log/nginx/stream2.log": "no access_log writes /var/log/nginx/stream2.log; name the log_format, one of bad, combined, json, later, odd",
		"/opt/logs/ws.log/x":         "no access_log writes /opt/logs/ws.log/x; name the log_format, one of bad, combined, json, later, odd",
		"/srv/missing.log":           `/etc/other/site.conf:1:31: no log_format "none"; there are bad, combined, json, later, odd`,
		"/srv/two.log":               "/etc/other/site.conf:2:2 and /etc/other/site.conf:2:32 write /srv/two.log with the formats json and odd; name one of them, or give each a file",
		"/srv/bad.log":               "/etc/other/site.conf:2:90: nothing stands between status and host, so their values cannot be told apart; put a space or a quote there",
	} {
		_, err := c.FormatOf(log)
		require.EqualError(t, err, want, log)
	}
	got, err := c.Format("json")
	require.NoError(t, err)
	require.Equal(t, json, got)
	_, err = c.Format("main")
	require.EqualError(t, err, `no log_format "main"; there are bad, combined, json, later, odd`)
}

func TestAConfigurationThatCannotBeReadSaysWhere(t *testing.T) {
	t.Parallel()
	deep := []string{"/a.conf", "include /a.conf;"}
	many := []string{"/a.conf", "include many/*;"}
	for i := range 2100 {
		many = append(many, fmt.Sprintf("/many/%d", i), "")
	}
	for name, c := range map[string]struct {
		fsys fstest.MapFS
		want string
	}{
		"no such file":           {files(), "/a.conf: file does not exist"},
		"no such include":        {files("/a.conf", "\n include b.conf;"), "/a.conf:2:2: include /b.conf: file does not exist"},
		"an include that loops":  {files(deep...), "/a.conf:1:1: includes are nested deeper than 16"},
		"too many files":         {files(many...), "/a.conf:1:1: more than 2048 files are included"},
		"too large":              {files("/a.conf", strings.Repeat("#", 5<<20)), "/a.conf: larger than 4194304 bytes"},
		"a folder":               {files("/a.conf/b", ""), "/a.conf: not a regular file"},
		"a quote without an end": {files("/a.conf", "log_format x\n  'abc;"), "/a.conf:2:3: a quote that does not end"},
		"a format without text":  {files("/a.conf", "log_format x;"), "/a.conf:1:1: log_format must have a name and a format"},
		"a log without a path":   {files("/a.conf", "access_log;"), "/a.conf:1:1: access_log must have a path"},
		"a bad pattern":          {files("/a.conf", "include [a*;"), "/a.conf:1:1: include: not a pattern of file names"},
		"two includes at once":   {files("/a.conf", "include a b;"), "/a.conf:1:1: include must have one argument, got 2"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := nginx.ReadConf(c.fsys, "/a.conf")
			require.EqualError(t, err, c.want)
		})
	}
	c, err := nginx.ReadConf(files("/a.conf", "log_format x\n '$host' ' - ';"), "/a.conf")
	require.NoError(t, err)
	_, err = c.Format("x")
	require.EqualError(t, err, "/a.conf:1:1: add $status: without it no line says what became of a handshake\n"+
		"/a.conf:1:1: add $msec: without a time no line says when it was written")
}

func FuzzConf(f *testing.F) {
	f.Add(mainConf)
	f.Add("log_format x escape=none '${status}\\n' \"$msec\"; access_log /x x; include a*;")
	f.Add("a { b 'c")
	f.Fuzz(func(t *testing.T, text string) {
		c, err := nginx.ReadConf(files("/etc/nginx.conf", text), "/etc/nginx.conf")
		if err != nil {
			return
		}
		for _, name := range []string{"x", "json", nginx.Combined} {
			format, err := c.Format(name)
			if err != nil {
				continue
			}
			_, err = nginx.New(sourcetest.Settings(), nginx.Options{Template: format})
			require.NoError(t, err, "a format that compiles in its file and not by itself: %q", format)
		}
	})
}

func TestTheExampleLacksNothing(t *testing.T) {
	t.Parallel()
	c, err := nginx.ReadConf(os.DirFS(testenv.Root()), "examples/nginx.log_format.conf")
	require.NoError(t, err)
	text, err := c.Format("websocket")
	require.NoError(t, err)
	require.Empty(t, parser(sourcetest.Settings(), nginx.Options{Template: text, ErrorLog: nginx.NewErrorLog(nil, 1)}).Advice())
}
