//go:build unix && !linux

package main

import (
	"context"
	"errors"

	"github.com/pluginhost/pluginhost/testenv/standalone"
)

// disks are those of the NATS servers. None can be filled here, so that nothing below is
// called but canFill.
type disks map[string]struct{}

func canFill() error { return errors.ErrUnsupported }

func (disks) mount(*standalone.Environment, string) string  { return "" }
func (*breaker) storing(context.Context) (server string)    { return "" }
func (*breaker) fill(context.Context, string) (failed bool) { return false }
func (*breaker) empty(string)                               {}
