package content

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestThePageIsTrue(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../../docs/content.md")
	require.NoError(t, err)
	block := func(language string) string {
		_, after, ok := strings.Cut(string(page), "```"+language+"\n")
		require.True(t, ok)
		text, _, _ := strings.Cut(after, "```")
		return text
	}
	p, err := loadMap(map[string]string{"content.yaml": block("yaml"), "post.json": block("json")})
	require.NoError(t, err)
	require.Equal(t, "1 protocol, 2 messages, 1 schema, no access rules; observe", p.String())

	// Every key that the manifest may have is on the page.
	source, err := os.ReadFile("manifest.go")
	require.NoError(t, err)
	keys := 0
	for _, call := range regexp.MustCompile(`m\.fields\(\w+, [^,]+, ([^)]+)\)`).FindAllStringSubmatch(string(source), -1) {
		for key := range strings.SplitSeq(strings.ReplaceAll(call[1], `"`, ""), ", ") {
			keys++
			require.Regexp(t, "`[^`\n]*\\b"+key+"\\b|\\{"+key+":", string(page), key)
		}
	}
	require.Greater(t, keys, 25)
}
