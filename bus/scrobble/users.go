package scrobble

import (
	"context"
	"errors"
	"strings"
	"sync"
	"time"

	"github.com/pluginhost/pluginhost/sdk/jet"
	"github.com/pluginhost/pluginhost/subjects"
)

const (
	// maxUsers is how many users are remembered that requests have named; maxUserText is how long a name
	// or an id of one may be, in bytes.
	maxUsers    = 100_000
	maxUserText = 255
	// maxLearning is how many users wait to be written down; more are learned with their next request.
	maxLearning = 256
)

// User is a user of the music server.
type User struct {
	// Name is what the user logs in with, ID the music server's id. One of them may be unknown.
	Name, ID string
}

// Directory has users whose names and ids are known beforehand. It is not changed.
type Directory struct {
	names map[string]User // by lower-case name
	ids   map[string]User
}

// NewDirectory makes a directory. Users without a name or an id are left out.
func NewDirectory(users []User) *Directory {
	d := &Directory{names: make(map[string]User), ids: make(map[string]User)}
	for _, user := range users {
		if user.Name != "" && user.ID != "" {
			d.names[strings.ToLower(user.Name)], d.ids[user.ID] = user, user
		}
	}
	return d
}

// users are the pairs of names and ids that are known: those of the configuration, and those that requests
// have named.
type users struct {
	configured func() *Directory
	learning   chan User

	mu      sync.Mutex
	names   map[string]string // by id
	ids     map[string]string // by lower-case name
	changed chan struct{}     // closed when a user becomes known
}

func newUsers(configured func() *Directory) *users {
	return &users{
		configured: configured, learning: make(chan User, maxLearning),
		names: make(map[string]string), ids: make(map[string]string), changed: make(chan struct{}),
	}
}

// complete adds what is known of a user. A name that the request gave stays.
func (u *users) complete(user User) User {
	configured := u.configured()
	if user.Name == "" {
		if known, is := configured.ids[user.ID]; is {
			return known
		}
	} else if known, is := configured.names[strings.ToLower(user.Name)]; is {
		return User{Name: user.Name, ID: known.ID}
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	if user.Name == "" {
		user.Name = u.names[user.ID]
	}
	if user.ID == "" {
		user.ID = u.ids[strings.ToLower(user.Name)]
	}
	return user
}

// learn notes a user whom a request has named with both. It does not block.
func (u *users) learn(user User) {
	if user.Name == "" || user.ID == "" || len(user.Name) > maxUserText || len(user.ID) > maxUserText {
		return
	}
	u.mu.Lock()
	isKnown := u.names[user.ID] == user.Name || len(u.names) >= maxUsers
	u.mu.Unlock()
	if isKnown {
		return
	}
	select {
	case u.learning <- user:
	default:
	}
}

// note takes over what the bucket tells of a user.
func (u *users) note(c jet.Change) {
	var record subjects.UserRecord
	if c.Gone || c.Decode(&record) != nil || record.ID == "" || record.Name == "" {
		return
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	if len(u.names) >= maxUsers && u.names[record.ID] == "" {
		return
	}
	if former := strings.ToLower(u.names[record.ID]); u.ids[former] == record.ID {
		delete(u.ids, former) // or one id with ever other names would fill the memory
	}
	u.names[record.ID], u.ids[strings.ToLower(record.Name)] = record.Name, record.ID
	close(u.changed)
	u.changed = make(chan struct{})
}

// changes returns a channel that is closed when another user becomes known.
func (u *users) changes() <-chan struct{} {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.changed
}

// run writes down the users that were learned.
func (u *users) run(ctx context.Context, handle *jet.Handle, records jet.Records) {
	for {
		select {
		case <-ctx.Done():
			return
		case user := <-u.learning:
			if u.complete(User{ID: user.ID}).Name == user.Name {
				continue
			}
			writing, cancel := context.WithTimeout(ctx, jet.RecordTimeout)
			err := records.Put(writing, subjects.UserRecordKey(user.ID), subjects.UserRecord{V: subjects.Version, ID: user.ID, Name: user.Name})
			cancel()
			if err != nil && !errors.Is(err, context.Canceled) {
				handle.Logger().Warn("a user's name and id could not be written down: the next request tells them again", "error", err)
				_ = jet.Pause(ctx, time.Second)
			}
		}
	}
}
