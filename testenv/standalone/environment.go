// Package standalone lets programs use what package testenv offers to tests.
package standalone

import (
	"context"
	"errors"
	"fmt"
	"os"
	"testing"
)

// Environment is a testing.TB outside a test.
type Environment struct {
	testing.TB // for what only tests need; nothing here calls it

	name     string
	ctx      context.Context
	cleanups []func()
	failures []error
}

// New makes an environment that lasts as long as ctx; the caller ends it with End.
func New(ctx context.Context, name string) *Environment { return &Environment{name: name, ctx: ctx} }

// fatal ends the program; End turns it into an error.
type fatal struct{ error }

// End undoes what was set up, the last first, and adds what went wrong to err.
// It is to be deferred.
func (e *Environment) End(err *error) {
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
func (*Environment) Helper() {}

// Name is that of the program.
func (e *Environment) Name() string { return e.name }

// Context ends with the program.
func (e *Environment) Context() context.Context { return e.ctx }

// Cleanup has f run at the end.
func (e *Environment) Cleanup(f func()) { e.cleanups = append(e.cleanups, f) }

// TempDir makes a folder that is removed at the end.
func (e *Environment) TempDir() string {
	dir, err := os.MkdirTemp("", e.name)
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
func (e *Environment) Error(args ...any) {
	e.failures = append(e.failures, errors.New(fmt.Sprint(args...)))
}

// Fatal ends the program with a failure.
func (e *Environment) Fatal(args ...any) { panic(fatal{errors.New(fmt.Sprint(args...))}) }

// Fatalf is Fatal with a format.
func (e *Environment) Fatalf(format string, args ...any) { e.Fatal(fmt.Sprintf(format, args...)) }
