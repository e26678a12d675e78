package piiprocessor

import (
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/sockeye-project/sockeye/internal/keyfile"
	"github.com/sockeye-project/sockeye/processor/piiprocessor/redact"
)

// The keys of epochs form a chain: each is derived from the one before, and from none can that before it be found. The file
// holds the oldest key that is still kept. Destroying older ones is to overwrite the file with a later link, which
// collectors that began with the same file do alike without talking to each other.

// chain is what stands in the file: the key of epoch first, for epochs of that length.
type chain struct {
	kid    string
	length time.Duration
	first  int64
	key    []byte
}

const (
	chainHeader  = "sockeye-epoch-keys"
	maxChainFile = 4096
	// maxEpochs bounds how many keys are in memory, and how far a chain goes on at once: more is a clock that is wrong.
	maxEpochs = 10_000
	// epochsAhead are kept for records of senders whose clocks are ahead, and for the time until keys are looked after again.
	epochsAhead = 2
	// chainInterval is how often keys are looked after; an epoch is twice as long at least.
	chainInterval = 30 * time.Minute
)

func (c *chain) next() {
	c.key = keyfile.Derive(c.key, "pii/epoch")
	c.first++
}

func (c *chain) String() string {
	return fmt.Sprintf("%s %s %d %d %s\n", chainHeader, c.kid, int64(c.length/time.Second), c.first,
		base64.StdEncoding.EncodeToString(c.key))
}

func parseChain(text string) (c chain, ok bool) {
	fields := strings.Fields(text)
	if len(fields) != 5 || fields[0] != chainHeader {
		return c, false
	}
	seconds, err := strconv.ParseInt(fields[2], 10, 64)
	first, err2 := strconv.ParseInt(fields[3], 10, 64)
	key, err3 := base64.StdEncoding.DecodeString(fields[4])
	c = chain{kid: fields[1], length: time.Duration(seconds) * time.Second, first: first, key: key}
	return c, errors.Join(err, err2, err3) == nil && len(key) == keyfile.Size &&
		first >= 0 && seconds > 0 && seconds < 1<<32 &&
		redact.IsPseudonym("p1:"+c.kid+"-0:"+strings.Repeat("a", 24))
}

// chainFiles guards the files of this process: several signals share one.
var chainFiles sync.Mutex

// keepEpochKeys reads the chain in the file at path, or begins one, destroys the keys of epochs that ended longer than keep
// ago, and hands the others to keys.
func keepEpochKeys(path string, length, keep time.Duration, now time.Time, keys *redact.EpochKeys) error {
	chainFiles.Lock()
	defer chainFiles.Unlock()
	epochOf := func(t time.Time) int64 { return max(0, t.Unix()) / int64(length/time.Second) }
	oldest, latest := epochOf(now.Add(-keep)), epochOf(now)+epochsAhead
	c, err := loadChain(path)
	if errors.Is(err, fs.ErrNotExist) {
		c, err = createChain(path, length, oldest)
	}
	if err != nil {
		return err
	}
	const anew = "or remove the file to begin with new keys"
	switch {
	case c.length != length:
		return fmt.Errorf("chain file %s: made for pseudonyms.epoch %v; set that, %s", path, c.length, anew)
	case c.first > latest:
		return fmt.Errorf("chain file %s: begins after the present time; set the clock, %s", path, anew)
	case oldest-c.first > maxEpochs:
		return fmt.Errorf("chain file %s: ended %d epochs ago; set the clock, %s", path, oldest-c.first, anew)
	}
	if c.first < oldest {
		for c.first < oldest {
			c.next()
		}
		if err := replaceChain(path, &c, os.Rename); err != nil {
			return err
		}
	}
	kid, first := c.kid, c.first
	var list [][]byte
	for ; c.first <= latest; c.next() {
		list = append(list, c.key)
	}
	keys.Set(kid, first, list)
	return nil
}

func loadChain(path string) (chain, error) {
	info, err := os.Stat(path)
	if err != nil {
		return chain{}, fmt.Errorf("chain file: %w", err)
	}
	if !info.Mode().IsRegular() || info.Size() > maxChainFile {
		return chain{}, fmt.Errorf("chain file %s: not a file of epoch keys", path)
	}
	if perm := info.Mode().Perm(); perm&0o077 != 0 {
		return chain{}, fmt.Errorf("chain file %s: mode %04o lets others use the keys; run `chmod 600` on it", path, perm)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return chain{}, fmt.Errorf("chain file: %w", err)
	}
	c, ok := parseChain(string(text))
	if !ok {
		return chain{}, fmt.Errorf("chain file %s: not a file of epoch keys", path)
	}
	return c, nil
}

func createChain(path string, length time.Duration, first int64) (chain, error) {
	random := make([]byte, keyfile.Size)
	if _, err := rand.Read(random); err != nil {
		return chain{}, fmt.Errorf("chain file %s: %w", path, err)
	}
	c := chain{kid: redact.KeyID(random), length: length, first: first, key: keyfile.Derive(random, "pii/epoch")}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return chain{}, fmt.Errorf("chain file: %w", err)
	}
	// The hard link is the exclusive step: of two that begin at once, both get the chain of one.
	err := replaceChain(path, &c, os.Link)
	if errors.Is(err, fs.ErrExist) {
		return loadChain(path)
	}
	return c, err
}

// replaceChain puts c at path as a whole.
func replaceChain(path string, c *chain, publish func(from, to string) error) error {
	tmp, err := os.CreateTemp(filepath.Dir(path), ".chain-*")
	if err != nil {
		return fmt.Errorf("chain file: %w", err)
	}
	defer os.Remove(tmp.Name())
	_, err = tmp.WriteString(c.String())
	if err := errors.Join(err, tmp.Sync(), tmp.Close()); err != nil {
		return fmt.Errorf("chain file: %w", err)
	}
	if err := publish(tmp.Name(), path); err != nil {
		return fmt.Errorf("chain file: %w", err)
	}
	return nil
}
