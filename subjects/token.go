package subjects

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"
)

const upperHex = "0123456789ABCDEF"

// Token encodes a foreign string, such as a plugin id, as one token of a
// subject or a key: letters, digits, _ and - stay, every other byte becomes =HH.
// The empty string, which is no token, becomes a lone =.
func Token(s string) string {
	if s == "" {
		return "="
	}
	var b strings.Builder
	for i := range len(s) {
		if c := s[i]; plain(c) {
			b.WriteByte(c)
		} else {
			b.WriteByte('=')
			b.WriteByte(upperHex[c>>4])
			b.WriteByte(upperHex[c&15])
		}
	}
	return b.String()
}

// ParseToken is the inverse of Token. It refuses what Token never makes.
func ParseToken(token string) (string, error) {
	if token == "=" {
		return "", nil
	}
	var b strings.Builder
	for i := 0; i < len(token); i++ {
		c := token[i]
		if c == '=' && i+2 < len(token) {
			high, low := strings.IndexByte(upperHex, token[i+1]), strings.IndexByte(upperHex, token[i+2])
			if high < 0 || low < 0 || plain(byte(high<<4|low)) {
				return "", fmt.Errorf("%q is not an encoded token", token)
			}
			b.WriteByte(byte(high<<4 | low))
			i += 2
			continue
		}
		if !plain(c) {
			return "", fmt.Errorf("%q is not an encoded token", token)
		}
		b.WriteByte(c)
	}
	if b.Len() == 0 {
		return "", fmt.Errorf("%q is not an encoded token", token)
	}
	return b.String(), nil
}

func plain(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '_' || c == '-'
}

// Hash stands for a string of any length in a subject or a key: the SHA-256 of
// its bytes in hex. The original is stored in the value.
func Hash(s string) string {
	sum := sha256.Sum256([]byte(s))
	return hex.EncodeToString(sum[:])
}
