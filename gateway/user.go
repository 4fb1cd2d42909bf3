package gateway

import (
	"net/http"
	"strings"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/pluginhost/pluginhost/sdk/api/schema"
	"github.com/pluginhost/pluginhost/subjects"
)

// capabilityScrobbler is the capability whose requests are about a user.
const capabilityScrobbler = "Scrobbler"

// The fields of each request of Scrobbler that tell who the user is.
const (
	fieldUserID   protowire.Number = 1
	fieldUsername protowire.Number = 2
)

// checkUser refuses a request that is about another user than that of the token.
func checkUser(grant subjects.AccessTokenGrant, method *schema.Method, is content, body []byte) error {
	if is.JSON {
		var err error
		if body, err = method.RequestFromJSON(body); err != nil {
			return subjects.Errorf(subjects.ErrBadRequest, "%w", err)
		}
	}
	for len(body) > 0 {
		number, kind, n := protowire.ConsumeTag(body)
		if n < 0 {
			return notProtobuf(method)
		}
		body = body[n:]
		if kind == protowire.BytesType && (number == fieldUserID || number == fieldUsername) {
			value, n := protowire.ConsumeBytes(body)
			if n < 0 {
				return notProtobuf(method)
			}
			if err := checkNamed(grant, number, string(value)); err != nil {
				return err
			}
		}
		if n = protowire.ConsumeFieldValue(number, kind, body); n < 0 {
			return notProtobuf(method)
		}
		body = body[n:]
	}
	return nil
}

func notProtobuf(method *schema.Method) error {
	return subjects.Errorf(subjects.ErrBadRequest, "the body is no request of %s", method.Name)
}

// checkNamed refuses what a request says of its user. A token that does not know the user's id has none to say.
func checkNamed(grant subjects.AccessTokenGrant, field protowire.Number, value string) error {
	switch {
	case value == "",
		field == fieldUsername && sameName(value, grant.User),
		field == fieldUserID && grant.UserID != "" && value == grant.UserID:
		return nil
	default:
		return refusef(http.StatusForbidden, subjects.NameForbidden, "the token is of the user %s, and the request is about another one", grant.User)
	}
}

// sameName compares names of users as Navidrome does: but for the case of letters of ASCII. A Kelvin sign is no k.
func sameName(a, b string) bool {
	lower := func(r rune) rune {
		if 'A' <= r && r <= 'Z' {
			return r + 'a' - 'A'
		}
		return r
	}
	return strings.Map(lower, a) == strings.Map(lower, b)
}

// userOf is about whom a request is: whom it names or, if it names nobody, the user of the token.
func userOf(grant subjects.AccessTokenGrant, id, name string) (userID, username string, err error) {
	if grant.User == "" {
		return id, name, nil
	}
	if err := checkNamed(grant, fieldUserID, id); err != nil {
		return "", "", err
	}
	if err := checkNamed(grant, fieldUsername, name); err != nil {
		return "", "", err
	}
	return grant.UserID, grant.User, nil
}
