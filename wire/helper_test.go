package wire_test

import (
	"bytes"
	"compress/flate"
	"runtime/debug"
	"slices"
	"testing"
)

// deflate compresses as a peer does, with the library's best effort (RFC 7692 §7.2.1).
func deflate(text string) string {
	var out bytes.Buffer
	w, err := flate.NewWriter(&out, flate.BestCompression)
	if err == nil {
		_, err = w.Write([]byte(text))
	}
	if err == nil {
		err = w.Flush()
	}
	if err != nil {
		panic(err)
	}
	return string(bytes.TrimSuffix(out.Bytes(), []byte{0, 0, 0xff, 0xff}))
}

// withoutRace skips a test that counts allocations where the race detector adds its own: pools then lose what they hold.
func withoutRace(t *testing.T) {
	t.Helper()
	if info, ok := debug.ReadBuildInfo(); ok && slices.Contains(info.Settings, debug.BuildSetting{Key: "-race", Value: "true"}) {
		t.Skip("the race detector allocates")
	}
}
