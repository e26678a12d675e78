// Command document prints docs/conformance.md.
package main

import (
	"fmt"
	"os"

	"github.com/sockeye-project/sockeye/test/conformance"
)

func main() {
	if _, err := os.Stdout.Write(conformance.Document()); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1) //nolint:forbidigo // this is main
	}
}
