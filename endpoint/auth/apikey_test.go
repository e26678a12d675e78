package auth

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestAPIKeys(t *testing.T) {
	t.Parallel()
	good := "acme_" + strings.Repeat("k", 43)
	a, err := NewAPIKeys("acme_", map[string]Identity{HashAPIKey(good): {Subject: "meter", Tenant: "acme"}, HashAPIKey("acme_short"): {Subject: "x"}})
	require.NoError(t, err)
	for sentence, test := range map[string]struct {
		c    Credential
		want error
	}{
		"a key":                            {Credential{Method: Bearer, Token: good}, nil},
		"a key in the first message":       {Credential{Method: FirstMessage, Token: good}, nil},
		"a key in the URL":                 {Credential{Method: Query, Token: good}, MissingCredential},
		"another's":                        {Credential{Method: Bearer, Token: "eyJ" + canary}, MissingCredential},
		"a key that nobody has":            {Credential{Method: Bearer, Token: good + "x"}, Refused},
		"the hash of a key":                {Credential{Method: Bearer, Token: "acme_" + HashAPIKey(good)}, Refused},
		"one that is too short to be safe": {Credential{Method: Bearer, Token: "acme_short"}, Refused},
		"one that is too long":             {Credential{Method: Bearer, Token: "acme_" + strings.Repeat("k", 9<<10)}, CredentialTooLong},
	} {
		t.Run(sentence, func(t *testing.T) {
			id, err := a.Authenticate(t.Context(), test.c)
			require.Equal(t, test.want, err)
			if err == nil {
				require.Equal(t, Identity{Subject: "meter", Tenant: "acme", TokenID: HashAPIKey(good)[:16], Method: test.c.Method}, id)
			}
		})
	}
	require.EqualError(t, a.Replace(map[string]Identity{canary: {Subject: "meter"}}), `api key of "meter": must be given as its SHA-256 in hexadecimal`)
	require.EqualError(t, a.Replace(map[string]Identity{HashAPIKey(good): {}}), "api key: must have a subject")
	_, err = a.Authenticate(t.Context(), Credential{Method: Bearer, Token: good})
	require.NoError(t, err, "on an error nothing changes")
	require.NoError(t, a.Replace(nil))
	_, err = a.Authenticate(t.Context(), Credential{Method: Bearer, Token: good})
	require.Equal(t, Refused, err)
	_, err = NewAPIKeys("", nil)
	require.EqualError(t, err, "prefix: must be there, of letters, digits and -._~+/")
}
