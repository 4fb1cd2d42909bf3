package navidrome

import "context"

// Subsonic returns the body of the answer, whatever its status and type.
// The errors are ErrRequest and ErrUnavailable.
func (s *Server) Subsonic(ctx context.Context, request SubsonicRequest) ([]byte, error) {
	got, err := s.ask(ctx, request)
	return got.body, err
}
