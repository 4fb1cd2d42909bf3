package artwork

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"slices"
)

const (
	// keyBytes is the length of a Signer's key.
	keyBytes = 32
	// maxTokenBytes is how long a token may be; with the longest id it is 715.
	maxTokenBytes = 1 << 10
	// tokenVersion is the first byte of a token.
	tokenVersion = 1
	// macBytes is how much of the HMAC a token has. Nobody can try out many: a guess is a
	// request.
	macBytes = 16
	// macDomain keeps tokens apart from whatever else is signed with the key.
	macDomain = "pluginhost artwork address\x00"
)

// ErrToken is a token that was not made with the key, or not by a Signer.
var ErrToken = errors.New("not a token of an artwork address")

// Signer makes and checks the tokens in artwork addresses. A token is the base64url,
// without padding, of a version byte, a byte for the kind, the size as a varint, the
// id, and the first 16 bytes of an HMAC-SHA256 of all of these. It does not expire,
// as addresses of artwork never did, but ends with its key. It is safe for concurrent use.
type Signer struct {
	key func() []byte
}

// NewSigner makes a Signer with a secret key of 32 bytes; others are an error.
func NewSigner(key []byte) (*Signer, error) {
	if len(key) != keyBytes {
		return nil, fmt.Errorf("the key of artwork addresses has %d bytes, not %d", len(key), keyBytes)
	}
	key = slices.Clone(key)
	return NewSignerOf(func() []byte { return key }), nil
}

// NewSignerOf makes a Signer that asks for its key, of 32 bytes, each time that it needs it:
// the key may become another one.
func NewSignerOf(key func() []byte) *Signer { return &Signer{key: key} }

// Sign returns the token of an image, always the same. One with an unknown kind or
// with an id over 512 bytes is for nothing, for Verify refuses it.
func (s *Signer) Sign(artwork Artwork) string {
	payload := []byte{tokenVersion, kindByte(artwork.Kind)}
	payload = binary.AppendUvarint(payload, uint64(min(max(0, artwork.Size), math.MaxInt32)))
	return s.seal(append(payload, artwork.ID...))
}

func (s *Signer) seal(payload []byte) string {
	return base64.RawURLEncoding.EncodeToString(append(payload, s.mac(payload)...))
}

// Verify returns the image of a token, with a size from 0 to 2,147,483,647. Every other
// text than one that Sign returns for it is ErrToken.
func (s *Signer) Verify(token string) (Artwork, error) {
	if len(token) > maxTokenBytes {
		return Artwork{}, ErrToken
	}
	sealed, err := base64.RawURLEncoding.DecodeString(token)
	// The decoder skips line breaks and bits that do not count.
	if err != nil || base64.RawURLEncoding.EncodeToString(sealed) != token || len(sealed) < macBytes {
		return Artwork{}, ErrToken
	}
	payload := sealed[:len(sealed)-macBytes]
	if !hmac.Equal(sealed[len(payload):], s.mac(payload)) {
		return Artwork{}, ErrToken
	}
	return parsePayload(payload)
}

// parsePayload parses what was signed, maybe by another version of this program.
func parsePayload(payload []byte) (Artwork, error) {
	if len(payload) < 3 || payload[0] != tokenVersion {
		return Artwork{}, ErrToken
	}
	kind := kindOf(payload[1])
	size, n := binary.Uvarint(payload[2:])
	if kind == "" || n <= 0 || size > math.MaxInt32 || n != len(binary.AppendUvarint(nil, size)) {
		return Artwork{}, ErrToken
	}
	id := payload[2+n:]
	if len(id) > maxIDBytes {
		return Artwork{}, ErrToken
	}
	return Artwork{Kind: kind, ID: string(id), Size: int(size)}, nil
}

func (s *Signer) mac(payload []byte) []byte {
	mac := hmac.New(sha256.New, s.key())
	mac.Write([]byte(macDomain))
	mac.Write(payload)
	return mac.Sum(nil)[:macBytes]
}

// The bytes of the kinds are part of every address that is out in the world.
func kindByte(kind Kind) byte {
	switch kind {
	case Artist:
		return 'a'
	case Album:
		return 'l'
	case Track:
		return 't'
	default:
		return 0
	}
}

func kindOf(b byte) Kind {
	for _, kind := range []Kind{Artist, Album, Track} {
		if kindByte(kind) == b {
			return kind
		}
	}
	return ""
}
