// Package format lists the formats that Sockeye reads, by the names that `format:` and `sockeye parse --format` take.
//
// It parses nothing itself. The invariant to keep: a format is in this list or nowhere, so that what the command shows
// is what the receiver makes of the same file.
package format

import (
	"bytes"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/sockeye-project/sockeye/source"
	"github.com/sockeye-project/sockeye/source/apache"
	"github.com/sockeye-project/sockeye/source/apigateway"
	"github.com/sockeye-project/sockeye/source/awsalb"
	"github.com/sockeye-project/sockeye/source/caddy"
	"github.com/sockeye-project/sockeye/source/envoy"
	"github.com/sockeye-project/sockeye/source/haproxy"
	"github.com/sockeye-project/sockeye/source/mapping"
	"github.com/sockeye-project/sockeye/source/modsecurity"
	"github.com/sockeye-project/sockeye/source/ndjson"
	"github.com/sockeye-project/sockeye/source/nginx"
	"github.com/sockeye-project/sockeye/source/socketio"
	"github.com/sockeye-project/sockeye/source/suricata"
	"github.com/sockeye-project/sockeye/source/traefik"
	"github.com/sockeye-project/sockeye/source/zeek"
)

// Format is one row of the list.
type Format struct {
	Name string
	// Brief says in one line what it reads.
	Brief string
	// takes are the options that it knows.
	takes []Option
	make  func(source.Settings, Options) (source.Parser, error)
	// variants are what Auto tries; none for a format that cannot be recognised.
	variants []variant
}

// Options are what a format may have to be told beyond [source.Settings]. The zero value is the format as its product
// writes it by default.
type Options struct {
	// Template is the format as it stands in the writer's configuration, such as nginx's log_format or HAProxy's
	// log-format.
	Template string
	// Paths are the URL paths that are WebSockets, as patterns of [path.Match], for formats whose lines cannot prove it.
	Paths []string
	// ErrorLog is joined with the access log, or nil.
	ErrorLog *nginx.ErrorLog
	// Mapping describes a JSON log that no other format knows.
	Mapping *mapping.Config
	// Auto is for the format Auto alone; others ignore it.
	Auto *AutoOptions
}

// Option is a field of [Options], by its key in configurations.
type Option string

// The options.
const (
	Template Option = "template"
	Paths    Option = "websocket_paths"
	ErrorLog Option = "error_log"
	Mapping  Option = "mapping"
)

// OptionError is a fault of one option.
type OptionError struct {
	Option Option
	Err    error
}

func (e *OptionError) Error() string { return string(e.Option) + ": " + e.Err.Error() }

// Unwrap returns what is wrong with the option.
func (e *OptionError) Unwrap() error { return e.Err }

// The names.
const (
	NDJSON     = "ndjson"
	Nginx      = "nginx"
	NginxError = "nginx_error"
	HAProxy    = "haproxy"
	Caddy      = "caddy"
	Envoy      = "envoy"
	Apache     = "apache"
	Traefik    = "traefik"
	AWSALB     = "aws_alb"

	Suricata      = "suricata"
	Zeek          = "zeek"
	APIGateway    = "aws_apigateway"
	SocketIO      = "socketio"
	SocketIODebug = "socketio_debug"
	ModSecurity   = "modsecurity"
	// MappingFormat is that of Options.Mapping.
	MappingFormat = "mapping"
)

// formats is the list. Of formats that fit a line equally well, Auto takes the first.
var formats = []Format{
	{NDJSON, "Sockeye's own events, one JSON object a line", nil,
		func(s source.Settings, _ Options) (source.Parser, error) { return ndjson.NewParser(s), nil },
		[]variant{{}}},
	{Nginx, "nginx access log: JSON keyed by variable names, combined or any log_format",
		[]Option{Template, Paths, ErrorLog},
		func(s source.Settings, o Options) (source.Parser, error) {
			return nginx.New(s, nginx.Options{Template: o.Template, Paths: o.Paths, ErrorLog: o.ErrorLog})
		},
		[]variant{
			{fits: nginx.JSONFits},
			{template: nginx.Combined, name: nginx.Combined},
			{template: nginx.Main, name: nginx.Main},
			{template: nginx.Upstreaminfo, name: nginx.Upstreaminfo},
		}},
	{NginxError, "nginx error log: TLS handshakes that failed", nil,
		func(s source.Settings, _ Options) (source.Parser, error) { return nginx.NewErrorParser(s), nil },
		[]variant{{}}},
	{HAProxy, "HAProxy log: option httplog or httpslog, JSON, or any log-format with its captures",
		[]Option{Template, Paths},
		func(s source.Settings, o Options) (source.Parser, error) { return haproxy.New(s, o.Template, o.Paths) },
		[]variant{{fits: haproxy.Fits}}},
	{Caddy, "Caddy access log, JSON; its template is the body of format json",
		[]Option{Template},
		func(s source.Settings, o Options) (source.Parser, error) { return caddy.New(s, o.Template) },
		[]variant{{fits: caddy.Fits}}},
	{Envoy, "Envoy or Istio access log: the default text, JSON, or any text_format or json_format",
		[]Option{Template, Paths},
		func(s source.Settings, o Options) (source.Parser, error) { return envoy.New(s, o.Template, o.Paths) },
		[]variant{{fits: envoy.Fits}}},
	{Apache, "Apache access log: combined, or any LogFormat",
		[]Option{Template, Paths},
		func(s source.Settings, o Options) (source.Parser, error) { return apache.New(s, o.Template, o.Paths) },
		[]variant{{template: "vhost_combined", name: "vhost_combined"}}},
	{Traefik, "Traefik access log, JSON or common",
		[]Option{Paths},
		func(s source.Settings, o Options) (source.Parser, error) { return traefik.New(s, o.Paths) },
		[]variant{{fits: traefik.Fits}}},
	{AWSALB, "access log of an AWS Application Load Balancer",
		[]Option{Paths},
		func(s source.Settings, o Options) (source.Parser, error) { return awsalb.New(s, o.Paths) },
		[]variant{{}}},
	{Suricata, "Suricata's EVE log", []Option{Paths},
		func(s source.Settings, o Options) (source.Parser, error) { return suricata.New(s, o.Paths), nil },
		[]variant{{fits: all(`"event_type":"`, `"timestamp":"`)}}},
	{Zeek, "Zeek's websocket.log and http.log, tab-separated or JSON", []Option{Paths},
		func(s source.Settings, o Options) (source.Parser, error) { return zeek.New(s, o.Paths), nil },
		[]variant{{fits: zeek.Fits}}},
	{APIGateway, "AWS API Gateway access log of a WebSocket API", nil,
		func(s source.Settings, _ Options) (source.Parser, error) { return apigateway.New(s), nil },
		[]variant{{fits: all(`"eventType":"`, `"connectionId":"`)}}},
	{SocketIO, "application log of Socket.IO's events, one JSON object a line", nil,
		func(s source.Settings, _ Options) (source.Parser, error) { return socketio.NewApp(s), nil },
		[]variant{{fits: socketio.AppFits}}},
	{SocketIODebug, "lines that DEBUG=engine*,socket.io* writes", nil,
		func(s source.Settings, _ Options) (source.Parser, error) { return socketio.NewDebug(s), nil },
		[]variant{{fits: socketio.DebugFits}}},
	{ModSecurity, "ModSecurity audit log in JSON: handshakes that a rule refused", nil,
		func(s source.Settings, _ Options) (source.Parser, error) { return modsecurity.New(s), nil },
		[]variant{{}}},
	{MappingFormat, "any JSON log that a mapping describes", []Option{Mapping}, newMapping, nil},
	{Auto, "whichever of these the first lines of a log fit", []Option{Paths, ErrorLog}, nil, nil},
}

// all returns what says that a line holds all these texts, for JSON whose keys no other format has.
func all(texts ...string) func() func([]byte) bool {
	return func() func([]byte) bool {
		return func(line []byte) bool {
			for _, text := range texts {
				if !bytes.Contains(line, []byte(text)) {
					return false
				}
			}
			return true
		}
	}
}

func newMapping(s source.Settings, o Options) (source.Parser, error) {
	if o.Mapping == nil {
		return nil, &OptionError{Mapping, errors.New("describe the log here")}
	}
	p, err := mapping.New(s, o.Mapping)
	if err == nil {
		return p, nil
	}
	return nil, faultsOf(Mapping, err)
}

// faultsOf makes every fault that err joins one of the option.
func faultsOf(option Option, err error) error {
	joined, ok := err.(interface{ Unwrap() []error })
	if !ok {
		return &OptionError{option, err}
	}
	var faults []error
	for _, fault := range joined.Unwrap() {
		faults = append(faults, &OptionError{option, fault})
	}
	return errors.Join(faults...)
}

// All returns the list. It must not be changed.
func All() []Format { return formats }

// Names returns the names, for messages: "ndjson, nginx".
func Names() string {
	names := make([]string, len(formats))
	for i, f := range formats {
		names[i] = f.Name
	}
	return strings.Join(names, ", ")
}

// Of returns the format with that name.
func Of(name string) (Format, error) {
	for _, f := range formats {
		if f.Name == name {
			return f, nil
		}
	}
	return Format{}, fmt.Errorf("must be one of %s, got %q", Names(), name)
}

// given returns the options that are set.
func (o *Options) given() (list []Option) {
	if o.Template != "" {
		list = append(list, Template)
	}
	if len(o.Paths) > 0 {
		list = append(list, Paths)
	}
	if o.ErrorLog != nil {
		list = append(list, ErrorLog)
	}
	if o.Mapping != nil {
		list = append(list, Mapping)
	}
	return list
}

// known returns o without the options that f does not know.
func (f Format) known(o Options) Options {
	if !slices.Contains(f.takes, Template) {
		o.Template = ""
	}
	if !slices.Contains(f.takes, Paths) {
		o.Paths = nil
	}
	if !slices.Contains(f.takes, ErrorLog) {
		o.ErrorLog = nil
	}
	if !slices.Contains(f.takes, Mapping) {
		o.Mapping = nil
	}
	return o
}

// New returns a parser. Its error joins an [OptionError] for every option at fault.
func (f Format) New(s source.Settings, o Options) (source.Parser, error) {
	var faults []error
	fault := func(option Option, err error) { faults = append(faults, &OptionError{option, err}) }
	for _, option := range o.given() {
		if !slices.Contains(f.takes, option) {
			fault(option, fmt.Errorf("the format %s has no use for it; leave it out", f.Name))
		}
	}
	for _, p := range o.Paths {
		if _, err := path.Match(p, ""); err != nil || !strings.HasPrefix(p, "/") {
			fault(Paths, fmt.Errorf("%q is not a pattern of URL paths; write /ws or /rooms/*", p))
		}
	}
	if len(faults) > 0 {
		return nil, errors.Join(faults...)
	}
	if f.Name == Auto {
		return newAuto(s, o)
	}
	p, err := f.make(s, o)
	if err != nil {
		var option *OptionError
		if !errors.As(err, &option) {
			err = faultsOf(Template, err)
		}
		return nil, err
	}
	return headed{p}, nil
}

// OptionErrors returns the faults that an error of [Format.New] joins.
func OptionErrors(err error) []*OptionError {
	var one *OptionError
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		var all []*OptionError
		for _, err := range joined.Unwrap() {
			if errors.As(err, &one) {
				all = append(all, one)
			}
		}
		return all
	}
	if errors.As(err, &one) {
		return []*OptionError{one}
	}
	return nil
}
