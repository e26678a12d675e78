//go:build !linux || !amd64 || noembedded

package embedded

import (
	"context"
	"errors"
)

// Supported says whether this build can load the engine at all.
const Supported = false

// ErrUnsupported says that this build left the engine out.
var ErrUnsupported = errors.New("this build has no embedded engine; it needs Linux on amd64 and a build without " +
	"the tag noembedded, or use a ClickHouse server")

// Run fails: there is no engine in this build.
func Run(context.Context, Settings, func(Addresses)) error { return ErrUnsupported }
