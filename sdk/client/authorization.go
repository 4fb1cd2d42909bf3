package client

import (
	linked "container/list"
	"strings"
	"sync"

	"github.com/pluginhost/pluginhost/subjects"
)

const (
	// maxAuthorizations bounds the pairs of plugin and user of which is known what was said.
	maxAuthorizations = 10_000
	// maxKnownUser bounds the names and ids of users of whom it is known, in bytes.
	maxKnownUser = 1024
)

// authorizations are what plugins have said last of users. Those that were used least recently give way.
type authorizations struct {
	mu    sync.Mutex
	known map[authorizationKey]*linked.Element
	used  *linked.List // of *authorization, the newest in front
}

type authorizationKey struct {
	plugin string
	user   User
}

type authorization struct {
	authorizationKey
	authorized bool
}

func newAuthorizations() *authorizations {
	return &authorizations{known: make(map[authorizationKey]*linked.Element), used: linked.New()}
}

// keep notes what a plugin has said.
func (a *authorizations) keep(plugin string, user User, authorized bool) {
	if len(plugin) > subjects.MaxID || len(user.ID)+len(user.Name) > maxKnownUser {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if known, is := a.known[authorizationKey{plugin, user}]; is {
		known.Value.(*authorization).authorized = authorized
		a.used.MoveToFront(known)
		return
	}
	// What the caller has may be cut out of something large.
	key := authorizationKey{strings.Clone(plugin), User{strings.Clone(user.ID), strings.Clone(user.Name)}}
	a.known[key] = a.used.PushFront(&authorization{key, authorized})
	if a.used.Len() > maxAuthorizations {
		oldest := a.used.Remove(a.used.Back()).(*authorization)
		delete(a.known, oldest.authorizationKey)
	}
}

// last is what a plugin has said; known is false if it has not.
func (a *authorizations) last(plugin string, user User) (authorized, known bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	said, is := a.known[authorizationKey{plugin, user}]
	if !is {
		return false, false
	}
	a.used.MoveToFront(said)
	return said.Value.(*authorization).authorized, true
}
