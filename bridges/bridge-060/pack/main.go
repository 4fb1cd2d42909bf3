// Command pack makes the packages of bridge-060 from what npm has built: pack FOLDER OUTPUT, where FOLDER is the bridge's and
// OUTPUT the one that gets the packages.
package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	bridge060 "github.com/pluginhost/pluginhost/bridges/bridge-060"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "pack:", err)
		os.Exit(1)
	}
}

// errUsage is that of other arguments than two.
var errUsage = errors.New("usage: pack FOLDER OUTPUT")

func run(args []string) error {
	if len(args) != 2 {
		return errUsage
	}
	if err := os.MkdirAll(args[1], 0o755); err != nil { //nolint:gosec // what is built is for everybody, as that of make is
		return err
	}
	for _, variant := range bridge060.Variants() {
		packed, err := variant.Package(args[0])
		if err != nil {
			return err
		}
		var ndp bytes.Buffer
		if err := packed.Write(&ndp); err != nil {
			return err
		}
		file := filepath.Join(args[1], variant.File())
		if err := os.WriteFile(file, ndp.Bytes(), 0o644); err != nil { //nolint:gosec // as above
			return err
		}
		fmt.Println(file)
	}
	return nil
}
