// Package granted gathers the host services that a plugin was granted.
package granted

import (
	"errors"
	"fmt"
	"io"

	"github.com/pluginhost/pluginhost/api/host"
)

// Offer makes a host service: its functions, and what closes it, which is nil where
// there is nothing to close.
type Offer func() (functions []host.Function, closer io.Closer, err error)

// Services are the host services of a plugin. The zero value has none. Whoever has
// them closes them.
type Services struct {
	functions []host.Function
	closers   []io.Closer
}

// Grant makes the services of the permissions that a manifest was granted, each with
// the offer of that name. After an error nothing of them is left.
func Grant(permissions []string, offers map[string]Offer) (Services, error) {
	var s Services
	for _, permission := range permissions {
		offer, known := offers[permission]
		if !known {
			return Services{}, errors.Join(fmt.Errorf("permission %s: there is no such host service", permission), s.Close())
		}
		functions, closer, err := offer()
		if err != nil {
			return Services{}, errors.Join(fmt.Errorf("permission %s: %w", permission, err), s.Close())
		}
		s.functions = append(s.functions, functions...)
		if closer != nil {
			s.closers = append(s.closers, closer)
		}
	}
	return s, nil
}

// Functions are the host functions of all services.
func (s Services) Functions() []host.Function { return s.functions }

// Close closes all services.
func (s Services) Close() error {
	var errs []error
	for _, closer := range s.closers {
		errs = append(errs, closer.Close())
	}
	return errors.Join(errs...)
}
