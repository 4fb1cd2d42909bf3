package navidrome

import (
	"context"
	"encoding/json"
	"fmt"
	"mime"
	"net/http"
	"net/url"
	"strconv"

	"github.com/pluginhost/pluginhost/sdk/excerpt"
)

// codeNotFound is the error of the Subsonic API for what is not there, codeLogin the
// one for a user that is not let in.
const (
	codeLogin    = 40
	codeNotFound = 70
)

// Image is an image as Navidrome serves it.
type Image struct {
	// ContentType is what Navidrome says that it is, not checked.
	ContentType string
	// Body has the bytes, at most Config.MaxBody of them.
	Body []byte
	// Doubtful says that this may be a placeholder for an image that there is not.
	Doubtful bool
}

// CoverArt fetches the image with an artwork id, such as al-<id>_0, as a user. The
// size is in pixels; 0 and less is the original's. The errors are ErrNoArtwork, also for a
// placeholder, ErrRequest and ErrUnavailable.
func (s *Server) CoverArt(ctx context.Context, user, id string, size int) (Image, error) {
	query := url.Values{"id": {id}, "u": {user}, "v": {"1.16.1"}, "c": {"pluginhost"}, "f": {"json"}}
	if size > 0 {
		query.Set("size", strconv.Itoa(size))
	}
	got, err := s.ask(ctx, SubsonicRequest{User: user, Endpoint: "getCoverArt", Query: query})
	if err != nil {
		return Image{}, err
	}
	contentType := got.header.Get("Content-Type")
	kind, _, _ := mime.ParseMediaType(contentType)
	switch {
	case got.code == http.StatusNotFound: // what Navidrome lacks, it says in JSON
		return Image{}, s.unavailable(nil, "answered %q: is its base path in [Navidrome] URL? It sent %q", shortened(got.status), excerpt.Of(got.body))
	case got.code != http.StatusOK:
		return Image{}, s.unavailable(nil, "answered %q instead of an image: %q", shortened(got.status), excerpt.Of(got.body))
	case kind == "application/json":
		return Image{}, s.refused(id, got.body)
	case s.isPlaceholder(got.body):
		return Image{}, fmt.Errorf("%w: %q has a placeholder", ErrNoArtwork, shortened(id))
	default:
		return Image{ContentType: contentType, Body: got.body, Doubtful: isDoubtful(kind, got.body)}, nil
	}
}

// refused makes the error for a failure in JSON, which has HTTP status 200.
func (s *Server) refused(id string, body []byte) error {
	var reply struct {
		Response struct {
			Error struct {
				Code    int
				Message string
			}
		} `json:"subsonic-response"`
	}
	if err := json.Unmarshal(body, &reply); err != nil {
		return s.unavailable(err, "answered with JSON that cannot be read instead of an image: %q", excerpt.Of(body))
	}
	failure := reply.Response.Error
	switch failure.Code {
	case codeNotFound:
		return fmt.Errorf("%w: %q", ErrNoArtwork, shortened(id))
	case codeLogin:
		return s.unavailable(nil, "does not let the user in (error %d, %q): check [Navidrome] User and UserHeader here, and there the trusted addresses and the user header of external authentication",
			failure.Code, shortened(failure.Message))
	case 0:
		return s.unavailable(nil, "answered with JSON that is not a Subsonic API's instead of an image: %q", excerpt.Of(body))
	default:
		return s.unavailable(nil, "refused the image with error %d, %q", failure.Code, shortened(failure.Message))
	}
}
