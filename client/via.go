package client

import "context"

// viaKey is the key under which the context of a plugin's request has the ids of
// the plugins that wait for it.
type viaKey struct{}

// withVia makes calls with the context tell the host which plugins wait for them,
// so that it can refuse those that lead back into one of them.
func withVia(ctx context.Context, ids []string) context.Context {
	if len(ids) == 0 {
		return ctx
	}
	return context.WithValue(ctx, viaKey{}, ids)
}

func via(ctx context.Context) []string {
	ids, _ := ctx.Value(viaKey{}).([]string)
	return ids
}
