package wasmrt

// copied is a backing for every system: bytes on the heap, restored by copying
// the whole image.
type copied struct {
	image *image // nil is none
	limit int
	bytes []byte
	// used is how far the guest may have written.
	used int
}

func newCopied(image *image, limit int) (backing, error) {
	c := &copied{image: image, limit: limit}
	if image != nil {
		c.bytes = append(c.bytes, image.bytes...)
	}
	return c, nil
}

func (c *copied) needs(size int) int64 {
	if size <= cap(c.bytes) {
		return int64(cap(c.bytes))
	}
	return int64(min(max(size, 2*cap(c.bytes)), c.limit))
}

func (c *copied) resize(size int) []byte {
	if size > cap(c.bytes) {
		grown := make([]byte, c.needs(size))
		copy(grown, c.bytes)
		c.bytes = grown
	}
	c.bytes = c.bytes[:cap(c.bytes)]
	c.used = max(c.used, size)
	return c.bytes[:size:size]
}

func (c *copied) restore(bool) (private int64, err error) {
	copy(c.bytes, c.image.bytes)
	clear(c.bytes[len(c.image.bytes):c.used])
	c.used = len(c.image.bytes)
	return int64(len(c.bytes)), nil
}

func (c *copied) free() { c.bytes = nil }
