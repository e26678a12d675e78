//go:build linux && amd64 && !noembedded

package embedded

import (
	"archive/zip"
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// backupFolder holds archives while they are made or read, in the data directory: the engine itself writes and reads
// them, and nowhere else.
const backupFolder = "backups"

// maxDefinitionBytes bounds the definition of one table in an archive.
const maxDefinitionBytes = 1 << 20

// archive returns a new name for one. The caller removes the file.
func (e *engine) archive() (string, error) {
	dir := filepath.Join(e.path, backupFolder)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", err
	}
	return filepath.Join(dir, newID()+".zip"), nil
}

// backup answers with an archive of databases: those that are named, or all but the engine's own.
func (s *server) backup(w http.ResponseWriter, r *http.Request, databases []string) error {
	rows, err := s.engine.own("SELECT name FROM system.databases " +
		"WHERE lower(name) NOT IN ('system', 'information_schema') AND engine != 'Memory' ORDER BY name")
	if err != nil {
		return err
	}
	var have, parts []string
	for _, row := range rows {
		have = append(have, row[0])
	}
	if len(databases) == 0 {
		databases = have
	}
	for _, name := range databases {
		if !slices.Contains(have, name) {
			return newException(81, "UNKNOWN_DATABASE", "Database %s does not exist", quoteName(name))
		}
		parts = append(parts, "DATABASE "+quoteName(name))
	}
	path, err := s.engine.archive()
	if err != nil {
		return err
	}
	defer os.Remove(path)
	// What is stored is compressed already.
	statement := "BACKUP " + strings.Join(parts, ", ") + " TO File(" + quoteText(path) +
		") SETTINGS compression_method = 'store'"
	if err := s.maintain(r.Context(), s.reads, statement); err != nil {
		return err
	}
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return err
	}
	header := w.Header()
	header.Set("Content-Type", "application/zip")
	header.Set("Content-Length", strconv.FormatInt(info.Size(), 10))
	for {
		limitWrites(w)
		if _, err := io.CopyN(w, file, frameBytes); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			panic(http.ErrAbortHandler)
		}
	}
}

// restore makes the tables of an archive, none of which may exist with rows in it.
func (s *server) restore(r *http.Request) error {
	path, err := s.engine.archive()
	if err != nil {
		return err
	}
	defer os.Remove(path)
	file, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(file, r.Body)
	if closed := file.Close(); err == nil {
		err = closed
	}
	switch {
	case errors.Is(err, unix.ENOSPC):
		return newException(243, "NOT_ENOUGH_SPACE", "The disk of the data directory has no room for the archive")
	case err != nil:
		return uploadException(err)
	}
	if err := s.judgeArchive(path); err != nil {
		return err
	}
	return s.maintain(r.Context(), s.writes, "RESTORE ALL FROM File("+quoteText(path)+")")
}

// maintain runs a statement of our own that takes its time.
func (s *server) maintain(ctx context.Context, turns chan struct{}, statement string) error {
	leave, err := lane(ctx, turns)
	if err != nil {
		return err
	}
	defer leave()
	c, err := s.engine.acquire("", nil)
	if err != nil {
		return err
	}
	defer s.engine.release(c)
	defer s.engine.killOnDone(ctx, c)()
	c.spoiled = true
	_, _, err = s.engine.result(c, statement, "", nil)
	return err
}

// manifest is the part of an archive's list of files that is needed here. Files alike are kept once, under another's
// name.
type manifest struct {
	Files []struct {
		Name string `xml:"name"`
		Data string `xml:"data_file"`
		Base bool   `xml:"use_base"`
	} `xml:"contents>file"`
}

// judgeArchive refuses an archive that would make a table the guard does not let a client make.
func (s *server) judgeArchive(path string) error {
	bad := func(format string, args ...any) error {
		return newException(codeBrokenBackup, "BACKUP_DAMAGED", "This is no archive of `sockeye clickhouse backup`: "+format,
			args...)
	}
	archive, err := zip.OpenReader(path)
	if err != nil {
		return bad("%v", err)
	}
	defer archive.Close()
	read := func(name string, most int64) ([]byte, error) {
		f, err := archive.Open(strings.TrimPrefix(name, "/"))
		if err != nil {
			return nil, bad("it lacks a file that it lists")
		}
		defer f.Close()
		data, err := io.ReadAll(io.LimitReader(f, most+1))
		if err == nil && int64(len(data)) > most {
			err = errors.New("a file of it is too long")
		}
		if err != nil {
			return nil, bad("%v", err)
		}
		return data, nil
	}
	data, err := read(".backup", 256<<20)
	if err != nil {
		return err
	}
	var list manifest
	if err := xml.Unmarshal(data, &list); err != nil {
		return bad("%v", err)
	}
	c, err := s.engine.acquire("", nil)
	if err != nil {
		return err
	}
	defer s.engine.release(c)
	definitions := 0
	for _, f := range list.Files {
		if f.Base {
			return bad("it builds on another one")
		}
		if !strings.HasSuffix(f.Name, ".sql") {
			continue
		}
		definitions++
		if f.Data == "" {
			f.Data = f.Name
		}
		text, err := read(f.Data, maxDefinitionBytes)
		if err != nil {
			return err
		}
		if _, err := s.engine.judge(c, string(text), "", nil); err != nil {
			return fmt.Errorf("%w (in the archive's definition of a table)", err)
		}
	}
	if definitions == 0 {
		return bad("it holds no tables")
	}
	return nil
}
