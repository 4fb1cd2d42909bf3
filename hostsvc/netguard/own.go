package netguard

import "sync"

// ownEndpoints are the endpoints of the host itself, which come and go while it runs.
type ownEndpoints struct {
	list func() []Endpoint

	mu    sync.Mutex
	known map[Endpoint]*deniedEndpoint // with what their names resolved to last
}

// newOwnEndpoints takes GuardConfig.Own.
func newOwnEndpoints(list func() []Endpoint) *ownEndpoints {
	if list == nil {
		list = func() []Endpoint { return nil }
	}
	return &ownEndpoints{list: list}
}

// now returns those that there are at this moment. One whose host nobody can connect to
// needs no protection.
func (o *ownEndpoints) now() []*deniedEndpoint {
	listed := o.list()
	o.mu.Lock()
	defer o.mu.Unlock()
	known := make(map[Endpoint]*deniedEndpoint, len(listed))
	found := make([]*deniedEndpoint, 0, len(listed))
	for _, endpoint := range listed {
		if known[endpoint] != nil {
			continue
		}
		denied := o.known[endpoint]
		if denied == nil {
			var err error
			if denied, err = newDeniedEndpoint(endpoint); err != nil {
				continue
			}
		}
		known[endpoint] = denied
		found = append(found, denied)
	}
	o.known = known
	return found
}
