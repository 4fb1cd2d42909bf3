package navidrome

import (
	"crypto/sha256"
	"encoding/hex"
	"net/http"
)

// placeholderType is the type of every placeholder of Navidrome.
const placeholderType = "image/webp"

// knownPlaceholders are the SHA-256 of the images that Navidrome 0.56 to 0.63 gives, in one
// size, with status 200, for what has no image.
func knownPlaceholders() []string {
	return []string{
		"273a4dbd61dfbb0a12d5d8ffe780eb7a3d4d000bc9771c5411cc70ae4dfa8a1f", // of albums and tracks
		"521259c652af6d43cb124876106258d93b6b6f7fbe7ad2c73e8345875afe4dcf", // of artists
	}
}

func (s *Server) isPlaceholder(body []byte) bool {
	sum := sha256.Sum256(body)
	return s.placeholders[hex.EncodeToString(sum[:])]
}

// isDoubtful says whether an image may be a placeholder that is not known: of another
// version, or the operator's own. Navidrome makes covers of other sizes into JPEG and PNG.
func isDoubtful(contentType string, body []byte) bool {
	return contentType == placeholderType || http.DetectContentType(body) == placeholderType
}
