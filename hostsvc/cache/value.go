package cache

import (
	"encoding/binary"
	"math"
)

// kind is the first byte of a stored value. A value exists only for those who
// read it as what it was written.
type kind byte

const (
	kindString kind = 's'
	kindInt    kind = 'i' // 8 bytes, big-endian
	kindFloat  kind = 'f' // 8 bytes, big-endian, IEEE 754
	kindBytes  kind = 'b'

	kindSize = 1 // bytes
)

func encodeText[T string | []byte](k kind, value T) []byte {
	return append(append(make([]byte, 0, kindSize+len(value)), byte(k)), value...)
}

func encodeNumber(k kind, value uint64) []byte {
	return binary.BigEndian.AppendUint64([]byte{byte(k)}, value)
}

func decodeString(stored []byte) (string, bool) {
	value, ok := decodeText(stored, kindString)
	return string(value), ok
}

func decodeBytes(stored []byte) ([]byte, bool) { return decodeText(stored, kindBytes) }

func decodeInt(stored []byte) (int64, bool) {
	value, ok := decodeNumber(stored, kindInt)
	return int64(value), ok
}

func decodeFloat(stored []byte) (float64, bool) {
	value, ok := decodeNumber(stored, kindFloat)
	return math.Float64frombits(value), ok
}

// decodeText returns what follows the kind, if it is k.
func decodeText(stored []byte, k kind) ([]byte, bool) {
	if len(stored) < kindSize || kind(stored[0]) != k {
		return nil, false
	}
	return stored[kindSize:], true
}

func decodeNumber(stored []byte, k kind) (uint64, bool) {
	value, ok := decodeText(stored, k)
	if !ok || len(value) != 8 {
		return 0, false
	}
	return binary.BigEndian.Uint64(value), true
}
