package main

import (
	"bytes"
	"strings"
	"testing"
)

func TestTheLicencesArePrintedOurOwnFirst(t *testing.T) {
	t.Parallel()
	var out, said bytes.Buffer
	if code := run(t.Context(), []string{"licenses"}, streams{strings.NewReader(""), &out, &said}); code != exitDone || said.Len() > 0 {
		t.Fatalf("exit code %d: %s", code, &said)
	}
	own, others, found := strings.Cut(out.String(), "Third-party notices\n")
	if !found || !strings.Contains(own, "Apache License") {
		t.Error("our own licence is missing")
	}
	for _, want := range []string{"Copyright 2009 The Go Authors.", "github.com/nats-io/nats-server/v2 v", "github.com/tetratelabs/wazero v"} {
		if !strings.Contains(others, want) {
			t.Errorf("%q is missing", want)
		}
	}
}
