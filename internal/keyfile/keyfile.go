// Package keyfile reads and creates the installation key: 32 random bytes, as one line of base64 in a file that only
// its owner can write and no stranger can read. Connection ids, handshake hashes and pseudonyms are keyed with it.
//
// It does not keep keys in memory, rotate them or talk to a KMS. The invariant to keep: nobody uses the installation
// key itself. Every purpose derives its own key with [Derive], so that the output for one purpose says nothing about
// another.
package keyfile

import (
	"bytes"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// Size is the length of the installation key and of every derived key, in bytes.
const Size = 32

// maxFileBytes bounds what is read, so that a wrong path (a device, a log) costs nothing.
const maxFileBytes = 4096

// Load reads the key in the file at path. Errors name the file and the remedy, never what stands in the file.
func Load(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("key file %s: does not exist; make one with `openssl rand -base64 32`, mode 0600: %w",
				path, fs.ErrNotExist)
		}
		return nil, fmt.Errorf("key file: %w", err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, fmt.Errorf("key file: %w", err)
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("key file %s: not a regular file", path)
	}
	// Reading by the group is allowed: that is what a container platform's secret volume gives to a non-root process.
	if perm := info.Mode().Perm(); perm&0o037 != 0 {
		return nil, fmt.Errorf("key file %s: mode %04o lets others use the key; run `chmod 600` on it", path, perm)
	}
	buf := make([]byte, maxFileBytes+1)
	n, err := f.Read(buf)
	if err != nil && n == 0 {
		return nil, fmt.Errorf("key file %s: empty; it must hold 32 bytes as base64", path)
	}
	text := bytes.TrimSpace(buf[:n])
	key := make([]byte, base64.StdEncoding.DecodedLen(len(text)))
	n, err = base64.StdEncoding.Decode(key, text)
	if err != nil {
		return nil, fmt.Errorf("key file %s: not base64; it must hold 32 bytes as base64", path)
	}
	if n != Size {
		return nil, fmt.Errorf("key file %s: holds %d bytes, must hold 32", path, n)
	}
	return key[:n], nil
}

// LoadOrCreate reads the key in the file at path and creates the file, with its folder, where there is none. Two
// processes that race get the same key: a new key appears under its name whole, and only if nothing has the name yet.
func LoadOrCreate(path string) (key []byte, created bool, err error) {
	key, err = Load(path)
	if !errors.Is(err, fs.ErrNotExist) {
		return key, false, err
	}
	dir := filepath.Dir(path)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, false, fmt.Errorf("key file: %w", err)
	}
	key = make([]byte, Size)
	if _, err := rand.Read(key); err != nil {
		return nil, false, fmt.Errorf("key file %s: %w", path, err)
	}
	// CreateTemp opens with O_EXCL and mode 0600; the hard link is the exclusive step that publishes whole content.
	tmp, err := os.CreateTemp(dir, ".key-*")
	if err != nil {
		return nil, false, fmt.Errorf("key file: %w", err)
	}
	defer os.Remove(tmp.Name())
	_, err = tmp.WriteString(base64.StdEncoding.EncodeToString(key) + "\n")
	if err := errors.Join(err, tmp.Sync(), tmp.Close()); err != nil {
		return nil, false, fmt.Errorf("key file: %w", err)
	}
	switch err := os.Link(tmp.Name(), path); {
	case err == nil:
		return key, true, nil
	case errors.Is(err, fs.ErrExist):
		key, err = Load(path)
		return key, false, err
	default:
		return nil, false, fmt.Errorf("key file: %w", err)
	}
}

// Derive returns the key for one purpose (HKDF-SHA256, RFC 5869, with purpose as info). Purposes are constants such as
// "websocket.connection.id"; two that differ give unrelated keys.
func Derive(key []byte, purpose string) []byte {
	out, err := hkdf.Key(sha256.New, key, nil, purpose, Size)
	if err != nil {
		// Only a length over 255 hashes or a FIPS refusal of a short key gets here; neither may yield a usable key.
		panic("keyfile: derive: " + err.Error())
	}
	return out
}
