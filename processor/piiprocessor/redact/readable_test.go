package redact

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// TestBearerInProse draws the line between words after "Bearer" and a token of letters only.
func TestBearerInProse(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		word  string
		token bool
	}{
		"the scheme's own word":      {"authentication", false},
		"a word at the start":        {"Authorization", false},
		"a long word":                {"internationalization", false},
		"a word in German":           {"Authentifizierungsfehler", false},
		"a longer word in German":    {"Authentifizierungsverfahren", false},
		"a word in French":           {"authentification", false},
		"a word in Spanish":          {"autenticacion", false},
		"a word in Italian":          {"autorizzazione", false},
		"words with dashes":          {"token-based-authentication-for-clients", false},
		"a rare word":                {"technologies", false},
		"a host":                     {"api.internal.example", false},
		"a short word":               {"scheme", false},
		"22 letters":                 {"qhzkfjwmxopbtrvncyaqgd", true},
		"22 other letters":           {"mzcqkwtbyhvxlpgjdnrsfu", true},
		"12 letters":                 {"xkqjvbwzmtgh", true},
		"22 letters, capital first":  {"Qhzkfjwmxopbtrvncyaqgd", true},
		"22 letters in two parts":    {"qhzkfjwmxop.btrvncyaqgd", true},
		"more letters than any word": {"authenticationauthenticationauthentication", true},
		"letters and digits":         {"abc123def", true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			in := "Bearer " + tt.word + " failed"
			want := in
			if tt.token {
				want = "Bearer [credential] failed"
			}
			got, _ := scanner(t).Text(in)
			require.Equal(t, want, got)
		})
	}
}
