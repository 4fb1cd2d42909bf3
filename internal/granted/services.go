// Package granted has the list of host services, and makes those that a plugin was granted.
package granted

import (
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/pluginhost/pluginhost/sdk/api/host"
)

// Services are the host services of a plugin. The zero value has none. Whoever has
// them closes them.
type Services struct {
	functions []host.Function
	closers   []io.Closer
}

// Grant makes the services of the permissions that a plugin was granted. After an error nothing of
// them is left.
func Grant(p Plugin, h Host) (Services, error) {
	var s Services
	offers := offers()
	for _, permission := range p.Permissions.Granted() {
		at := slices.IndexFunc(offers, func(o offer) bool { return o.permission == permission })
		if at < 0 {
			return Services{}, errors.Join(fmt.Errorf("permission %s: there is no such host service", permission), s.Close())
		}
		functions, closer, err := offers[at].open(p, h)
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
