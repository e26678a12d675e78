package content

import (
	"context"
	"fmt"
	"hash/fnv"
	"io/fs"
	"os"
	"path"
	"strings"
	"time"
)

// Follow keeps the policy in step with its directory until ctx ends. It looks every interval, and loads what is as it was an
// interval ago, so that files which are being written are left alone. changed is told of a policy that was taken. One with a
// fault changes nothing; fault is told once.
func (g *Guard) Follow(ctx context.Context, interval time.Duration, changed func(*Policy), fault func(error)) {
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	last := ""
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		state := look(g.settings.Directory)
		g.loading.Lock()
		seen := g.seen
		g.loading.Unlock()
		if state == seen || state != last {
			last = state
			continue
		}
		if err := g.Reload(); err != nil {
			fault(err)
		} else {
			changed(g.Policy())
		}
	}
}

// look returns a text that is another one when a file of the directory that counts has changed.
func look(dir string) string {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err.Error()
	}
	defer root.Close()
	sum, files := fnv.New64a(), 0
	note := func(fsys fs.FS, name string) {
		info, err := fs.Stat(fsys, name)
		if err != nil {
			fmt.Fprintf(sum, "%q %v\n", name, reason(err))
			return
		}
		fmt.Fprintf(sum, "%q %d %d\n", name, info.Size(), info.ModTime().UnixNano())
	}
	fsys := root.FS()
	for _, name := range Manifests {
		note(fsys, name)
	}
	walkSchemas(fsys, func(name string, err error) error {
		if files++; files > maxSchemas {
			return fs.SkipAll
		}
		if err != nil {
			fmt.Fprintf(sum, "%q %v\n", name, reason(err))
		} else {
			note(fsys, name)
		}
		return nil
	})
	return fmt.Sprint(sum.Sum64())
}

// walkSchemas calls f for every *.json below the directory, but in folders whose names begin with a dot, and for what cannot
// be read.
func walkSchemas(fsys fs.FS, f func(name string, err error) error) {
	_ = fs.WalkDir(fsys, ".", func(name string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return f(name, err)
		case entry.IsDir() && name != "." && strings.HasPrefix(entry.Name(), "."):
			return fs.SkipDir
		case entry.IsDir() || path.Ext(name) != ".json":
			return nil
		}
		return f(name, nil)
	})
}
