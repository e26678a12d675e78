package wire_test

import (
	"bytes"
	"compress/flate"
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
