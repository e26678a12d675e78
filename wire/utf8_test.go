package wire

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
)

// Every sequence of up to four bytes out of those where the rules change, in every split, beside the standard library.
func TestUTF8AgreesWithTheStandardLibrary(t *testing.T) {
	t.Parallel()
	edges := "\x00a\x7f\x80\x8f\x90\x9f\xa0\xbf\xc0\xc1\xc2\xdf\xe0\xe1\xec\xed\xee\xef\xf0\xf1\xf3\xf4\xf5\xff"
	var walk func(p []byte)
	checked := 0
	walk = func(p []byte) {
		if len(p) == 4 {
			for split := range len(p) {
				ok := utf8Complete.after(p[:split]).after(p[split:]) == utf8Complete
				if ok != utf8.Valid(p) {
					t.Fatalf("%q split at %d: %v", p, split, ok)
				}
			}
			checked++
			// The first byte that cannot be so: up to there something valid begins with it.
			state := utf8Complete
			for i := range p {
				state = state.after(p[i : i+1])
				ok := state != utf8Invalid
				if possible := beginsValid(p[:i+1]); ok != possible {
					t.Fatalf("%q at byte %d: %v", p, i, ok)
				}
				if !ok {
					break
				}
			}
			return
		}
		for i := range len(edges) {
			walk(append(p, edges[i]))
		}
	}
	walk(nil)
	require.Equal(t, 25*25*25*25, checked)
}

// beginsValid reports whether p can be continued to valid UTF-8.
func beginsValid(p []byte) bool {
	for _, rest := range []string{"", "\x80", "\xbf", "\x80\x80", "\xbf\x80", "\x80\x80\x80", "\xbf\x80\x80"} {
		if utf8.Valid([]byte(string(p) + rest)) {
			return true
		}
	}
	return false
}

func TestUTF8OfLongText(t *testing.T) {
	t.Parallel()
	text := strings.Repeat("aé網🙂", 20)
	for split := range len(text) {
		state := utf8Complete.after([]byte(text[:split]))
		require.NotEqual(t, utf8Invalid, state)
		require.Equal(t, utf8.ValidString(text[:split]), state == utf8Complete)
		require.Equal(t, utf8Complete, state.after([]byte(text[split:])))
	}
}

// Wherever a bad byte stands, and however much follows.
func TestUTF8FindsABadByteAnywhere(t *testing.T) {
	t.Parallel()
	for _, filler := range []string{"a", "é", "网", "🙂"} {
		text := []byte(strings.Repeat(filler, 100/len(filler)))
		for i := range text {
			was := text[i]
			text[i] = 0xFF
			require.Equal(t, utf8Invalid, utf8Complete.after(text), "%s %d", filler, i)
			require.Equal(t, utf8Invalid, utf8Complete.after(text[:i+1]), "%s %d", filler, i)
			text[i] = was
		}
	}
}
