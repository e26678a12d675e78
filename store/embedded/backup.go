//go:build linux && amd64 && !noembedded

package embedded

import (
	"archive/tar"
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// backupFolder holds archives while they are made or read, in the data directory: the engine itself writes and reads
// them, and nowhere else.
const backupFolder = "backups"

// maxDefinitionBytes bounds the definition of one table in an archive.
const maxDefinitionBytes = 1 << 20

// archive returns a new folder for one. The caller removes it.
func (e *engine) archive() (string, error) {
	dir := filepath.Join(e.path, backupFolder)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", err
	}
	return os.MkdirTemp(dir, "")
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
	dir, err := s.engine.archive()
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	dir = filepath.Join(dir, "archive")
	statement := "BACKUP " + strings.Join(parts, ", ") + " TO File(" + quoteText(dir) + ")"
	leave, err := lane(r.Context(), s.reads, laneWait)
	if err != nil {
		return err
	}
	err = s.maintain(r.Context(), statement)
	leave()
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/x-tar")
	if err := pack(timedWriter{w}, dir); err != nil {
		// Only a connection that is cut says that the archive is not whole.
		panic(http.ErrAbortHandler)
	}
	return nil
}

// timedWriter gives each piece of an answer its own time.
type timedWriter struct{ http.ResponseWriter }

func (w timedWriter) Write(p []byte) (int, error) {
	limitWrites(w.ResponseWriter)
	return w.ResponseWriter.Write(p)
}

// pack writes the files below a folder as an archive.
func pack(w io.Writer, dir string) error {
	archive := tar.NewWriter(w)
	if err := archive.AddFS(os.DirFS(dir)); err != nil {
		return err
	}
	return archive.Close()
}

// unpack writes the files of an archive below a folder.
func unpack(r io.Reader, dir string) error {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	archive := tar.NewReader(r)
	for {
		header, err := archive.Next()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		name := filepath.Clean(header.Name)
		if !filepath.IsLocal(name) || header.Typeflag != tar.TypeReg && header.Typeflag != tar.TypeDir {
			return errBroken("it holds what no archive of tables does")
		}
		if header.Typeflag == tar.TypeDir {
			continue
		}
		if err := root.MkdirAll(filepath.Dir(name), 0o700); err != nil {
			return err
		}
		f, err := root.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
		if err != nil {
			return err
		}
		_, err = io.Copy(f, archive)
		if closed := f.Close(); err == nil {
			err = closed
		}
		if err != nil {
			return err
		}
	}
}

// restore makes the tables of an archive, none of which may exist with rows in it.
func (s *server) restore(r *http.Request) error {
	dir, err := s.engine.archive()
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	err = unpack(r.Body, dir)
	if err == nil {
		// What the transport says at its end counts too.
		_, err = io.Copy(io.Discard, r.Body)
	}
	switch {
	case errors.Is(err, unix.ENOSPC):
		return newException(243, "NOT_ENOUGH_SPACE", "The disk of the data directory has no room for the archive")
	case errors.Is(err, tar.ErrHeader), errors.Is(err, io.ErrUnexpectedEOF):
		return errBroken("%v", err)
	case err != nil:
		return uploadException(err)
	}
	items, err := s.judgeArchive(os.DirFS(dir))
	if err != nil {
		return err
	}
	s.restoring.Lock()
	defer s.restoring.Unlock()
	// All turns: rows that others insert meanwhile could not be told from those of the archive.
	for range cap(s.writes) {
		leave, err := lane(r.Context(), s.writes, laneWait)
		if err != nil {
			return err
		}
		defer leave()
	}
	before, err := s.items()
	if err != nil {
		return err
	}
	if err := s.maintain(r.Context(), "RESTORE ALL FROM File("+quoteText(dir)+")"); err != nil {
		// What it has made would stop the next try.
		e := asException(err)
		return &exception{code: e.code, text: e.text + "\n" + s.undo(items, before)}
	}
	return nil
}

// item is a database, or a table of it.
type item struct{ database, table string }

func (i item) String() string {
	if i.table == "" {
		return quoteName(i.database)
	}
	return quoteName(i.database) + "." + quoteName(i.table)
}

// itemOf is what a file of an archive defines.
func itemOf(file string) (i item, ok bool) {
	path, ok := strings.CutPrefix(strings.TrimPrefix(file, "/"), "metadata/")
	if !ok {
		return i, false
	}
	database, table, _ := strings.Cut(strings.TrimSuffix(path, ".sql"), "/")
	var faults [2]error
	i.database, faults[0] = url.PathUnescape(database)
	i.table, faults[1] = url.PathUnescape(table)
	return i, errors.Join(faults[:]...) == nil
}

// items are all there are, with how many rows they have.
func (s *server) items() (map[item]string, error) {
	rows, err := s.engine.own("SELECT name, '', '0' FROM system.databases UNION ALL " +
		"SELECT database, name, toString(ifNull(total_rows, 0)) FROM system.tables WHERE database != 'system'")
	if err != nil {
		return nil, err
	}
	items := map[item]string{}
	for _, row := range rows {
		items[item{row[0], row[1]}] = row[2]
	}
	return items, nil
}

// undo removes what a restore has made of an archive's items and says so, or what is left to do. What was there before
// stays; rows in a table that was empty may be somebody else's by now.
func (s *server) undo(made []item, before map[item]string) string {
	var left []string
	drop := func(kind string, i item) {
		if _, err := s.engine.own("DROP " + kind + " IF EXISTS " + i.String() + " SYNC"); err != nil {
			left = append(left, "DROP "+kind+" "+i.String())
		}
	}
	for _, i := range made {
		if _, was := before[i]; !was && i.table != "" {
			drop("TABLE", i)
		}
	}
	now, err := s.items()
	if err != nil {
		return "What it had made could not be removed; drop it before another try."
	}
	used := map[string]bool{}
	for i := range now {
		used[i.database] = used[i.database] || i.table != ""
	}
	for _, i := range made {
		switch rows, was := before[i]; {
		case !was && i.table == "" && !used[i.database]:
			drop("DATABASE", i)
		case was && rows == "0" && now[i] != "0" && now[i] != "":
			left = append(left, "TRUNCATE TABLE "+i.String())
		}
	}
	if len(left) > 0 {
		return "Run before another try: " + strings.Join(left, "; ")
	}
	return "What it had made is removed again."
}

func errBroken(format string, args ...any) error {
	return newException(codeBrokenBackup, "BACKUP_DAMAGED",
		"This is no whole archive of `sockeye clickhouse backup`: "+format, args...)
}

// maintain runs a statement of our own that takes its time.
func (s *server) maintain(ctx context.Context, statement string) error {
	c, err := s.engine.acquire("", nil)
	if err != nil {
		return err
	}
	defer s.engine.release(c)
	defer s.engine.killOnDone(ctx, c)()
	c.spoiled = true
	_, _, err = s.engine.result(c, statement, "TabSeparated", nil)
	return err
}

// manifest is the part of an archive's list of files that is needed here. Files alike are kept once, under another's
// name.
type manifest struct {
	Base  []leaf `xml:"base_backup"`
	Files []struct {
		Name []leaf `xml:"name"`
		Data []leaf `xml:"data_file"`
		Base []leaf `xml:"use_base"`
	} `xml:"contents>file"`
}

type leaf struct {
	Text  string     `xml:",chardata"`
	Inner []struct{} `xml:",any"`
}

// only is the text of the one element there may be. Of several, or of one within another, the engine might read something
// else than what is judged.
func only(leaves []leaf, fallback string) (string, bool) {
	switch {
	case len(leaves) == 0:
		return fallback, fallback != ""
	case len(leaves) == 1 && len(leaves[0].Inner) == 0 && strings.TrimSpace(leaves[0].Text) == leaves[0].Text:
		return leaves[0].Text, true
	}
	return "", false
}

// judgeArchive refuses an archive that would make a table the guard does not let a client make, and returns what it makes.
func (s *server) judgeArchive(archive fs.FS) (items []item, err error) {
	read := func(name string, most int64) ([]byte, error) {
		f, err := archive.Open(strings.TrimPrefix(name, "/"))
		if err != nil {
			return nil, errBroken("it lacks a file that it lists")
		}
		defer f.Close()
		data, err := io.ReadAll(io.LimitReader(f, most+1))
		if err == nil && int64(len(data)) > most {
			err = errors.New("a file of it is too long")
		}
		if err != nil {
			return nil, errBroken("%v", err)
		}
		return data, nil
	}
	data, err := read(".backup", 256<<20)
	if err != nil {
		return nil, err
	}
	var list manifest
	if err := xml.Unmarshal(data, &list); err != nil {
		return nil, errBroken("%v", err)
	}
	c, err := s.engine.acquire("", nil)
	if err != nil {
		return nil, err
	}
	defer s.engine.release(c)
	definitions := 0
	for _, f := range list.Files {
		name, named := only(f.Name, "")
		data, stored := only(f.Data, name)
		switch {
		case len(list.Base)+len(f.Base) > 0:
			return nil, errBroken("it builds on another one")
		case !named || !stored:
			return nil, errBroken("it lists a file in another form")
		case !strings.HasSuffix(name, ".sql"):
			continue
		}
		definitions++
		if i, ok := itemOf(name); ok {
			items = append(items, i)
		}
		text, err := read(data, maxDefinitionBytes)
		if err != nil {
			return nil, err
		}
		if _, err := s.engine.judge(c, string(text), "", nil); err != nil {
			return nil, fmt.Errorf("%w (in the archive's definition of a table)", err)
		}
	}
	if definitions == 0 {
		return nil, errBroken("it holds no tables")
	}
	return items, nil
}
