package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/sockeye-project/sockeye/processor/piiprocessor/redact"
)

// maxRevealLine bounds a line: a token is longer than the value it stands for.
const maxRevealLine = 4 * maxParseLine

// runReveal copies lines with values in place of tokens.
func (o *redactOptions) runReveal(
	ctx context.Context, files []string, stdin io.Reader, stdout, stderr io.Writer,
) error {
	identity, err := readIdentity(o.identity)
	if err != nil {
		return fmt.Errorf("--identity: %w", err)
	}
	out := bufio.NewWriterSize(stdout, 1<<16)
	lines, revealed, failed := 0, 0, 0
	var faults []error
	for _, name := range files {
		err := eachLine(ctx, name, stdin, func(line string) {
			lines++
			// Values in text stay as they are; in a JSON object they stand in a string.
			inJSON := !o.text && strings.HasPrefix(strings.TrimLeft(line, " \t"), "{")
			text, n, bad := identity.Reveal(line, inJSON)
			revealed, failed = revealed+n, failed+bad
			// A write error stays with the writer, and Flush returns it.
			_, _ = out.WriteString(text + "\n")
		})
		if err != nil {
			faults = append(faults, err)
		}
	}
	if err := out.Flush(); err != nil {
		return fmt.Errorf("stdout: %w", err)
	}
	fmt.Fprintf(stderr, "%d lines: %d tokens revealed\n", lines, revealed)
	if failed > 0 {
		faults = append(faults, fmt.Errorf("%d tokens with the name of this key were changed and stay as they are", failed))
	}
	return errors.Join(faults...)
}

func eachLine(ctx context.Context, name string, stdin io.Reader, do func(line string)) error {
	in := stdin
	if name != "-" {
		f, err := os.Open(name)
		if err != nil {
			return err
		}
		defer f.Close()
		in = f
	}
	scanner := bufio.NewScanner(in)
	scanner.Buffer(nil, maxRevealLine)
	for scanner.Scan() {
		if err := ctx.Err(); err != nil {
			return err
		}
		do(scanner.Text())
	}
	if err := scanner.Err(); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}

// maxIdentityFile bounds what is read of a file that should hold a key.
const maxIdentityFile = 4096

func readIdentity(path string) (*redact.Identity, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	switch perm := info.Mode().Perm(); {
	case !info.Mode().IsRegular() || info.Size() > maxIdentityFile:
		return nil, fmt.Errorf("%s: not a file of one key", path)
	case perm&0o037 != 0:
		return nil, fmt.Errorf("%s: mode %04o lets others use the key; run `chmod 600` on it", path, perm)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	identity, err := redact.ParseIdentity(text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w; make one with `openssl genpkey -algorithm X25519`", path, err)
	}
	return identity, nil
}
