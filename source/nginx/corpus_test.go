package nginx_test

import (
	"os"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sockeye-project/sockeye/event"
	"github.com/sockeye-project/sockeye/internal/testenv"
	"github.com/sockeye-project/sockeye/source/nginx"
	"github.com/sockeye-project/sockeye/source/sourcetest"
)

func TestCorpusYieldsWhatItsLinesProveAndNothingElse(t *testing.T) {
	t.Parallel()
	for _, folder := range []string{"nginx", "nginx-new"} {
		t.Run(folder, func(t *testing.T) {
			t.Parallel()
			sourcetest.ExpectCorpus(t, parser(sourcetest.Settings(), nginx.Options{}), folder,
				"access.json.log", "access.json.expected.jsonl", assertNothingInvented)
		})
	}
}

func TestCorpusOfOtherFormatsYieldsWhatItsLinesProve(t *testing.T) {
	t.Parallel()
	for _, folder := range []string{"nginx", "nginx-new"} {
		t.Run(folder, func(t *testing.T) {
			t.Parallel()
			sourcetest.ExpectCorpus(t, parser(sourcetest.Settings(), nginx.Options{Template: nginx.Combined}), folder,
				"access.combined.log", "access.combined.expected.jsonl", assertNothingInvented)

			// The format of the JSON log as the nginx.conf has it that wrote it.
			conf, err := nginx.ReadConf(os.DirFS("/"), testenv.Corpus(t, "sources", folder, "nginx.conf"))
			require.NoError(t, err)
			text, err := conf.Format("ws_json")
			require.NoError(t, err)
			sourcetest.ExpectCorpus(t, parser(sourcetest.Settings(), nginx.Options{Template: text}), folder,
				"access.json.log", "access.json.expected.jsonl", assertNothingInvented)
		})
	}
}

// assertNothingInvented holds the attributes that no line of nginx can prove.
func assertNothingInvented(t *testing.T, e *event.Event) {
	t.Helper()
	for _, k := range []event.Key{
		event.CloseCode, event.CloseReason, event.CloseClean, event.IOReceived, event.IOMessagesReceived,
		event.IOMessagesSent, event.URLTemplate, event.TenantID, event.RateLimitPolicy, event.AuthMethod,
		event.ServerPort,
	} {
		require.False(t, e.Has(k), "%s", k)
	}
	require.Equal(t, event.VisibilityAtClose, e.String(event.SourceVisibility))
}
