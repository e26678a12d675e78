package schema

import (
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"io/fs"
	"regexp"
	"strconv"
	"strings"
)

//go:embed migrations/*.sql
var files embed.FS

// Migration is one numbered file of statements. They name no database: they run in the one that the connection uses.
// Every statement may run twice (IF NOT EXISTS and the like), so that a migration that was interrupted, or that two
// runners began together, is completed by running it again.
type Migration struct {
	Number int
	// Name is the file's name without its number: "events" of 0001_events.sql.
	Name string
	SQL  string
}

// Checksum identifies the file's content.
func (m Migration) Checksum() string {
	sum := sha256.Sum256([]byte(m.SQL))
	return hex.EncodeToString(sum[:])
}

// Statements returns the statements of the file, without comments and final semicolons.
func (m Migration) Statements() []string { return Statements(m.SQL) }

var fileName = regexp.MustCompile(`^(\d{4})_([a-z0-9_]+)\.sql$`)

// All returns the migrations in the order of their numbers, which begin at 1 and leave none out.
func All() ([]Migration, error) { return read(files) }

func read(fsys fs.FS) ([]Migration, error) {
	entries, err := fs.ReadDir(fsys, "migrations") // sorted by name, hence by number
	if err != nil {
		return nil, err
	}
	migrations := make([]Migration, 0, len(entries))
	for i, entry := range entries {
		parts := fileName.FindStringSubmatch(entry.Name())
		if parts == nil {
			return nil, fmt.Errorf("migration %s: name it like 0001_events.sql", entry.Name())
		}
		number, err := strconv.Atoi(parts[1])
		if err != nil || number != i+1 {
			return nil, fmt.Errorf("migration %s: its number should be %04d", entry.Name(), i+1)
		}
		text, err := fs.ReadFile(fsys, "migrations/"+entry.Name())
		if err != nil {
			return nil, err
		}
		migrations = append(migrations, Migration{Number: number, Name: parts[2], SQL: string(text)})
	}
	return migrations, nil
}

// Statements splits text at semicolons outside quotes and comments. Line comments are left out.
func Statements(text string) []string {
	var statements []string
	var current strings.Builder
	end := func() {
		if s := strings.TrimSpace(current.String()); s != "" {
			statements = append(statements, s)
		}
		current.Reset()
	}
	var quote byte
	for i := 0; i < len(text); i++ {
		c := text[i]
		switch {
		case quote != 0:
			current.WriteByte(c)
			if c == '\\' && i+1 < len(text) {
				i++
				current.WriteByte(text[i])
			} else if c == quote {
				quote = 0
			}
		case c == '\'' || c == '"' || c == '`':
			quote = c
			current.WriteByte(c)
		case c == '-' && strings.HasPrefix(text[i:], "--"):
			line := strings.IndexByte(text[i:], '\n')
			if line < 0 {
				line = len(text) - i
			}
			i += line - 1
		case c == ';':
			end()
		default:
			current.WriteByte(c)
		}
	}
	end()
	return statements
}
