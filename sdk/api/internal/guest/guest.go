// Package guest moves messages between a plugin and its host: the guest's side
// of the go-plugin binary interface.
//
// A message crosses as the address and the size of its bytes in the guest's
// memory. A result packs both into 64 bits, the address above the size; bit 31
// of the size tells that the bytes are the text of an error.
package guest

import "errors"

// Message is what protobuf messages of this module can do without reflection.
type Message interface {
	MarshalVT() ([]byte, error)
	UnmarshalVT([]byte) error
}

// ErrNoHost is returned by every host service outside a plugin host: there is
// nobody to answer.
var ErrNoHost = errors.New("host services answer only inside a plugin host")
