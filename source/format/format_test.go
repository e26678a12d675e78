package format_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sockeye-project/sockeye/source"
	"github.com/sockeye-project/sockeye/source/format"
	"github.com/sockeye-project/sockeye/source/mapping"
)

func TestEveryFormatHasAParserAndADescription(t *testing.T) {
	t.Parallel()
	for _, f := range format.All() {
		got, err := format.Of(f.Name)
		require.NoError(t, err)
		require.NotEmpty(t, got.Brief)
		o := format.Options{}
		if f.Name == format.MappingFormat {
			o.Mapping = &mapping.Config{SourceType: "a", Time: "t", Connection: []string{"c"},
				Events: []mapping.EventConfig{{When: map[string]any{"e": "o"}, Name: "websocket.open"}}}
		}
		p, err := got.New(source.Settings{}, o)
		require.NoError(t, err)
		require.NotNil(t, p)
	}
	_, err := format.Of("none")
	require.EqualError(t, err, `must be one of `+format.Names()+`, got "none"`)
}

func TestFaultsOfOptionsNameThem(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		format  string
		options format.Options
		want    []string
	}{
		"options that the format does not know": {format.NDJSON, format.Options{Template: "$status", Paths: []string{"/ws"}},
			[]string{"template: the format ndjson has no use for it; leave it out",
				"websocket_paths: the format ndjson has no use for it; leave it out"}},
		"paths that are no patterns": {format.Nginx, format.Options{Paths: []string{"/ws", "/[a", "ws"}},
			[]string{`websocket_paths: "/[a" is not a pattern of URL paths; write /ws or /rooms/*`,
				`websocket_paths: "ws" is not a pattern of URL paths; write /ws or /rooms/*`}},
		"a template at fault": {format.Nginx, format.Options{Template: "$status$host"},
			[]string{"template: column 8: nothing stands between status and host, so their values cannot be told apart; " +
				"put a space or a quote there"}},
		"no mapping":          {format.MappingFormat, format.Options{}, []string{"mapping: describe the log here"}},
		"a mapping of no use": {format.Nginx, format.Options{Mapping: &mapping.Config{}}, []string{"mapping: the format nginx has no use for it; leave it out"}},
		"a mapping that is empty": {format.MappingFormat, format.Options{Mapping: &mapping.Config{}}, []string{
			"mapping: source_type: name what writes the log in 1 to 64 bytes, such as chat_backend",
			"mapping: time: name the field with the time, or write {field: ts, layout: unix_ms}",
			"mapping: connection: list the fields that tell connections apart, such as [connection_id] or [peer]",
			"mapping: events: describe at least one event: {when: {field: value}, name: websocket.open}"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f, err := format.Of(c.format)
			require.NoError(t, err)
			_, err = f.New(source.Settings{}, c.options)
			var got []string
			for _, e := range format.OptionErrors(err) {
				got = append(got, e.Error())
			}
			require.Equal(t, c.want, got)
		})
	}
}
