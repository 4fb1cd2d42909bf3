package subsonicapi

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/pluginhost/pluginhost/hostsvc/navidrome"
)

const (
	// keepRole is how long what Navidrome said about a user is believed.
	keepRole = 30 * time.Second
	// maxRoles is how many users are remembered.
	maxRoles = 1000
	// maxRoleAnswer is the largest answer about a user, in bytes.
	maxRoleAnswer = 64 << 10
)

// Codes of the Subsonic API for a user that does not exist.
const (
	codeWrongLogin = 40
	codeNotFound   = 70
)

// errNoUser says that Navidrome does not know a user.
var errNoUser = errors.New("no such user")

// checkRole refuses users that Navidrome does not know, and admins. It asks as the
// user: everybody may ask about oneself.
func (s *Service) checkRole(ctx context.Context, via []string, user string) error {
	admin, known := s.roles.get(user)
	if !known {
		answer, err := s.ask(ctx, navidrome.SubsonicRequest{
			Via: via, User: user, Endpoint: "getUser", Query: url.Values{"username": {user}},
		}, min(maxRoleAnswer, s.config.MaxResponse))
		if err != nil {
			return err
		}
		admin, err = roleIn(answer, user)
		if errors.Is(err, errNoUser) {
			return &refusalError{
				error: fmt.Errorf("username %s not found", user), user: user,
				hint: "if the user exists, Navidrome does not trust the user header of this host",
			}
		}
		if err != nil {
			return err
		}
		s.roles.put(user, admin)
	}
	if admin {
		return refuse(user, "calling SubsonicAPI as admin user is not allowed")
	}
	return nil
}

// userAnswer is Navidrome's answer to getUser, as far as it counts.
type userAnswer struct {
	Response *struct {
		Status string `json:"status"`
		User   *struct {
			Username string `json:"username"`
			Admin    *bool  `json:"adminRole"`
		} `json:"user"`
		Error *struct {
			Code    int    `json:"code"`
			Message string `json:"message"`
		} `json:"error"`
	} `json:"subsonic-response"`
}

// roleIn reads from Navidrome's answer to getUser whether the user is an admin. What
// is not clearly about this user is an error.
func roleIn(answer []byte, user string) (admin bool, err error) {
	var got userAnswer
	if err := json.Unmarshal(answer, &got); err != nil || got.Response == nil {
		return false, errors.New("the role of the user is unknown: the answer to getUser is not that of a Subsonic API; check that [Navidrome] URL leads to Navidrome")
	}
	switch response := got.Response; {
	case response.Status == "ok" && response.User != nil:
		if foldName(response.User.Username) != foldName(user) {
			return false, errors.New("the role of the user is unknown: the answer to getUser is about somebody else")
		}
		if response.User.Admin == nil {
			return false, errors.New("the role of the user is unknown: the answer to getUser does not tell it")
		}
		return *response.User.Admin, nil
	case response.Status == "failed" && response.Error != nil:
		switch fault := response.Error; {
		case fault.Code == codeWrongLogin, fault.Code == codeNotFound:
			return false, errNoUser
		case fault.Message == "":
			return false, fmt.Errorf("the role of the user is unknown: getUser failed with code %d", fault.Code)
		default:
			return false, errors.New(fault.Message)
		}
	default:
		return false, errors.New("the role of the user is unknown: the answer to getUser has neither a user nor an error")
	}
}

// foldName makes names equal that are one user's. Navidrome ignores the case of ASCII
// letters only: É and é are two users.
func foldName(name string) string {
	return strings.Map(func(r rune) rune {
		if r >= 'A' && r <= 'Z' {
			r += 'a' - 'A'
		}
		return r
	}, name)
}

// roles remembers for a short time which users are admins.
type roles struct {
	mu    sync.Mutex
	known map[string]role // by folded name
}

type role struct {
	admin bool
	until time.Time
}

func (r *roles) get(user string) (admin, known bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	found, known := r.known[foldName(user)]
	return found.admin, known && time.Now().Before(found.until)
}

func (r *roles) put(user string, admin bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.known == nil {
		r.known = make(map[string]role)
	}
	now := time.Now()
	if len(r.known) >= maxRoles {
		for name, old := range r.known {
			if !now.Before(old.until) {
				delete(r.known, name)
			}
		}
	}
	for name := range r.known {
		if len(r.known) < maxRoles {
			break
		}
		delete(r.known, name) // any: it is asked for again
	}
	r.known[foldName(user)] = role{admin: admin, until: now.Add(keepRole)}
}
