//go:build unix

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"testing"
)

// environment lets a program use what package testenv offers to tests.
type environment struct {
	testing.TB // for what only tests need; nothing here calls it

	ctx      context.Context
	cleanups []func()
	failures []error
}

func newEnvironment(ctx context.Context) *environment { return &environment{ctx: ctx} }

// fatal ends soak; end turns it into an error.
type fatal struct{ error }

// end undoes what was set up, the last first, and adds what went wrong to err.
// It is to be deferred.
func (e *environment) end(err *error) {
	if r := recover(); r != nil {
		failure, ok := r.(fatal)
		if !ok {
			panic(r)
		}
		e.failures = append(e.failures, failure.error)
	}
	for len(e.cleanups) > 0 {
		last := len(e.cleanups) - 1
		cleanup := e.cleanups[last]
		e.cleanups = e.cleanups[:last]
		cleanup()
	}
	*err = errors.Join(append([]error{*err}, e.failures...)...)
}

// Helper does nothing.
func (*environment) Helper() {}

// Name is that of the program.
func (*environment) Name() string { return "soak" }

// Context ends with the program.
func (e *environment) Context() context.Context { return e.ctx }

// Cleanup has f run at the end.
func (e *environment) Cleanup(f func()) { e.cleanups = append(e.cleanups, f) }

// TempDir makes a folder that is removed at the end.
func (e *environment) TempDir() string {
	dir, err := os.MkdirTemp("", "soak")
	if err != nil {
		e.Fatal(err)
	}
	e.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			e.Error(err)
		}
	})
	return dir
}

// Error remembers a failure.
func (e *environment) Error(args ...any) {
	e.failures = append(e.failures, errors.New(fmt.Sprint(args...)))
}

// Fatal ends the program with a failure.
func (e *environment) Fatal(args ...any) { panic(fatal{errors.New(fmt.Sprint(args...))}) }

// Fatalf is Fatal with a format.
func (e *environment) Fatalf(format string, args ...any) { e.Fatal(fmt.Sprintf(format, args...)) }
