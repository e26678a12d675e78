package conformance

import (
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"github.com/sockeye-project/sockeye/wire"
)

// completions end any beginning of a letter.
var completions = []string{
	"", "\x80", "\xbf", "\x80\x80", "\xa0\x80", "\xbf\xbf", "\x9f\xbf", "\x80\x80\x80", "\x90\x80\x80", "\x8f\xbf\xbf", "\xbf\xbf\xbf",
}

// firstBad returns the index of the first byte after which no bytes can make text UTF-8, or -1.
func firstBad(text string) int {
	for n := range len(text) {
		possible := false
		for _, c := range completions {
			possible = possible || utf8.ValidString(text[:n+1]+c)
		}
		if !possible {
			return n
		}
	}
	return -1
}

func TestBadTextIsRefusedAtItsFirstBadByte(t *testing.T) {
	t.Parallel()
	tried := 0
	for _, group := range sequences() {
		for _, sequence := range group.list {
			bad := firstBad(sequence)
			if bad < 0 {
				continue
			}
			tried++
			// In one frame, and in a frame that never ends.
			for _, more := range []string{"", "and more"} {
				f := frame(fin|opText, []byte(sequence+more))
				r := wire.NewMessageReader(wire.ReaderSettings{})
				for i := range f {
					_, _, err := r.Next(f[i : i+1])
					if at := 6 + bad; i < at {
						require.NoError(t, err, "%q", sequence)
					} else if i == at {
						require.ErrorIs(t, err, wire.InvalidUTF8, "%q at its byte %d", sequence, bad)
						break
					}
				}
				r.Release()
			}
		}
	}
	require.Greater(t, tried, 60)
}
