// Command generate writes the notices of the programs that are released into a file. It
// is run in the folder of the module.
package main

import (
	"context"
	"fmt"
	"os"

	"github.com/pluginhost/pluginhost/internal/notices"
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: generate FILE")
		os.Exit(2)
	}
	content, err := notices.Collect(context.Background(), ".", notices.Programs()...)
	if err == nil {
		err = os.WriteFile(os.Args[1], content, 0o644) //nolint:gosec // everybody may read it
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
