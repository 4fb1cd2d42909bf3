// Command healthcheck asks the URL in its argument, and fails unless the answer
// is 200. It is for images that have neither a shell nor curl.
package main

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"time"
)

const timeout = 4 * time.Second

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: healthcheck URL")
		os.Exit(2)
	}
	if err := check(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func check(url string) error {
	client := http.Client{Timeout: timeout}
	answer, err := client.Get(url) //nolint:gosec // asking the URL it is given is all it does
	if err != nil {
		return err
	}
	defer func() { _ = answer.Body.Close() }()
	reason, err := io.ReadAll(io.LimitReader(answer.Body, 1<<10))
	if err != nil {
		return err
	}
	if answer.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s", answer.Status, reason)
	}
	return nil
}
