// Package nanoid makes the ids of schedules and connections for plugins that give
// none, and bounds those that they give.
package nanoid

import "crypto/rand"

// MaxGiven is the longest id that a plugin may give, in bytes.
const MaxGiven = 16 << 10

const (
	alphabet = "_-0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
	length   = 10
)

// New makes a random id of 10 letters, digits, _ and -.
func New() string {
	id := make([]byte, length)
	_, _ = rand.Read(id) // never fails
	for i, b := range id {
		id[i] = alphabet[b%byte(len(alphabet))] // 64 of them: all are as likely
	}
	return string(id)
}
