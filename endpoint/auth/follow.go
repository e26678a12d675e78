package auth

import (
	"context"
	"fmt"
	"io"
	"os"
	"time"
)

const maxFile = 64 << 20

// follow gives the text of a file to take, at once and when it has changed, until ctx ends. A fault changes nothing, is told
// once, and is looked into again after the interval.
func follow(ctx context.Context, path string, interval time.Duration, take func([]byte) error, fault func(error)) {
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	var seen os.FileInfo
	said := ""
	for {
		info, text, err := readChanged(path, seen)
		if err == nil && info != nil {
			err = take(text)
		}
		switch {
		case err == nil && info != nil:
			seen, said = info, ""
		case err != nil && err.Error() != said:
			said = err.Error()
			fault(err)
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

// readChanged reads a file unless it is as it was seen; then it returns no info.
func readChanged(path string, seen os.FileInfo) (os.FileInfo, []byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, nil, fmt.Errorf("file: %w", err)
	}
	if seen != nil && os.SameFile(info, seen) && info.Size() == seen.Size() && info.ModTime().Equal(seen.ModTime()) {
		return nil, nil, nil
	}
	text, err := readFile(path, maxFile)
	return info, text, err
}

// readFile reads a file of at most most bytes.
func readFile(path string, most int64) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("file: %w", err)
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, most+1))
	if err != nil {
		return nil, fmt.Errorf("file: %w", err)
	}
	if int64(len(text)) > most {
		return nil, fmt.Errorf("file: must be at most %d MiB", most>>20)
	}
	return text, nil
}
