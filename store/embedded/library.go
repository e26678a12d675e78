package embedded

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// LibraryEnv names the environment variable that points at the engine's library.
const LibraryEnv = "SOCKEYE_LIBCHDB"

// libraryName is the file name of the engine's shared library.
const libraryName = "libchdb.so"

// npmLibrary is where `make libchdb` puts the library, relative to the root of the module.
const npmLibrary = "store/embedded/libchdb/node_modules/@chdb/lib-linux-x64-gnu/" + libraryName

// ErrLibraryMissing says that the engine's library is nowhere to be found.
var ErrLibraryMissing = errors.New("the engine's library " + libraryName + " is missing; run `make libchdb`, " +
	"or name the file with --library or " + LibraryEnv)

// FindLibrary returns the path of the engine's library. A path given by the flag or by SOCKEYE_LIBCHDB must exist;
// otherwise the places searched are, in this order: beside the program, the npm folder of the module that holds the
// working directory, and the usual places of the system.
func FindLibrary(path string) (string, error) {
	from := "--library"
	if path == "" {
		path, from = os.Getenv(LibraryEnv), LibraryEnv
	}
	if path != "" {
		if info, err := os.Stat(path); err != nil || info.IsDir() {
			return "", fmt.Errorf("%s: no library at %s; run `make libchdb` to get one", from, path)
		}
		return filepath.Abs(path)
	}
	for _, candidate := range libraryPlaces() {
		if info, err := os.Stat(candidate); err == nil && !info.IsDir() {
			return candidate, nil
		}
	}
	return "", ErrLibraryMissing
}

func libraryPlaces() []string {
	var places []string
	if exe, err := os.Executable(); err == nil {
		if real, err := filepath.EvalSymlinks(exe); err == nil {
			exe = real
		}
		dir := filepath.Dir(exe)
		// bin/sockeye stands one below the module, so a program run from elsewhere finds its checkout's library.
		places = append(places, filepath.Join(dir, libraryName), filepath.Join(filepath.Dir(dir), npmLibrary))
	}
	if dir, err := os.Getwd(); err == nil {
		places = append(places, filepath.Join(dir, npmLibrary))
		if root, ok := moduleRoot(dir); ok {
			places = append(places, filepath.Join(root, npmLibrary))
		}
	}
	return append(places, "/usr/local/lib/"+libraryName, "/usr/lib/"+libraryName)
}

// moduleRoot is the nearest folder at or above dir with a go.mod.
func moduleRoot(dir string) (string, bool) {
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil || !errors.Is(err, fs.ErrNotExist) {
			return dir, err == nil
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return "", false
		}
		dir = parent
	}
}
