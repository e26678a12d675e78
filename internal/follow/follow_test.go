package follow

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

type rig struct {
	t    *testing.T
	path string
	file *File
	now  time.Time
}

func newRig(t *testing.T, most int64) *rig {
	t.Parallel()
	g := &rig{t: t, path: filepath.Join(t.TempDir(), "error.log"), now: time.Unix(1, 0)}
	g.file = New(g.path, most)
	g.file.now = func() time.Time { return g.now }
	t.Cleanup(g.file.Close)
	return g
}

func (g *rig) append(path, text string) {
	g.t.Helper()
	f, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	require.NoError(g.t, err)
	_, err = f.WriteString(text)
	require.NoError(g.t, err)
	require.NoError(g.t, f.Close())
}

// sees checks which lines the next look finds.
func (g *rig) sees(lines ...string) {
	g.t.Helper()
	var got []string
	require.NoError(g.t, g.file.Read(func(line []byte) { got = append(got, string(line)) }))
	require.Equal(g.t, lines, got)
}

func TestALookFindsWhatIsNew(t *testing.T) {
	g := newRig(t, Everything)
	g.append(g.path, "a\nb\r\n\nc")
	g.sees("a", "b", "")
	g.sees()
	g.append(g.path, "d\n")
	g.sees("cd")
}

func TestAFileThatIsNotThereYetIsFoundLater(t *testing.T) {
	g := newRig(t, Everything)
	require.ErrorIs(t, g.file.Read(nil), os.ErrNotExist)
	g.append(g.path, "a\n")
	g.sees("a")
}

func TestRotationByRenamingLosesNothing(t *testing.T) {
	g := newRig(t, Everything)
	g.append(g.path, "a\n")
	g.sees("a")
	g.append(g.path, "b\n")
	require.NoError(t, os.Rename(g.path, g.path+".1"))
	var got []string
	require.ErrorIs(t, g.file.Read(func(line []byte) { got = append(got, string(line)) }), os.ErrNotExist)
	require.Equal(t, []string{"b"}, got)
	g.append(g.path, "") // logrotate has made the new file, nginx still writes to the old one
	g.append(g.path+".1", "c\n")
	g.sees("c")
	g.append(g.path+".1", "d\n")
	g.append(g.path, "e\n")
	g.sees("d", "e")
	g.now = g.now.Add(2 * grace)
	g.sees()
	require.Nil(t, g.file.old, "a file that was deleted must not be kept")
	g.append(g.path, "f\n")
	g.sees("f")
}

func TestATruncatedFileIsReadFromItsBeginning(t *testing.T) {
	g := newRig(t, Everything)
	g.append(g.path, "a\nb\n")
	g.sees("a", "b")
	require.NoError(t, os.Truncate(g.path, 0))
	g.sees()
	g.append(g.path, "c\n")
	g.sees("c")
}

func TestALookReadsNoMoreThanItMay(t *testing.T) {
	g := newRig(t, 10)
	g.append(g.path, strings.Repeat("line of before\n", 1000)+"1234\n567\n")
	g.sees("1234", "567")
	g.append(g.path, strings.Repeat("x", 50)+"\n"+"89\n")
	g.sees("89")
}

func TestALineThatIsTooLongIsLeftOut(t *testing.T) {
	g := newRig(t, Everything)
	g.append(g.path, "a\n"+strings.Repeat("x", 5*bufferBytes))
	g.sees("a")
	g.append(g.path, strings.Repeat("x", 5*bufferBytes)+"\nb\n"+strings.Repeat("y", lineBytes+1)+"\n"+strings.Repeat("z", lineBytes)+"\nc")
	g.sees("b", strings.Repeat("z", lineBytes))
}

func TestWhatIsNoFileIsRefused(t *testing.T) {
	t.Parallel()
	require.EqualError(t, New(t.TempDir(), 1).Read(nil), "not a regular file")
}
