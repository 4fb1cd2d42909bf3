package wasmrt

import (
	"bytes"
	"errors"
	"runtime"
)

// heapImage keeps an image where no files are mapped.
func heapImage(contents []byte) (*image, error) {
	return &image{bytes: bytes.Clone(contents), close: func() error { return nil }}, nil
}

// isolator is how this system keeps calls apart: how images are made and memory
// that starts from them.
type isolator struct {
	// name is how pages are restored, for logs and tests.
	name       string
	newImage   func(contents []byte) (*image, error)
	newBacking newBacking
	close      func() error
	// faults tells that the first write to a shared page is counted as a page
	// fault, as prove has seen.
	faults bool
}

// newBacking makes a backing of at most limit bytes, that starts from image or,
// without one, from zeros.
type newBacking func(image *image, limit int) (backing, error)

// copying works on every system, at the price of copying all of a memory.
func copying() isolator {
	return isolator{name: "copy", newImage: heapImage, newBacking: newCopied, close: func() error { return nil }}
}

// newIsolator returns the fastest isolator that works here. The caller closes
// it.
func newIsolator() isolator {
	for _, open := range isolators() {
		i, err := open()
		if err != nil {
			continue
		}
		if i.prove() == nil {
			return i
		}
		_ = i.close() // only read from
	}
	return copying()
}

// prove restores a small memory and reports what is wrong with the isolator.
func (i *isolator) prove() error {
	const size, limit = 4 * pageSize, 8 * pageSize
	pristine := make([]byte, size)
	for at := range pristine {
		pristine[at] = byte(at >> 8)
	}
	img, err := i.newImage(pristine)
	if err != nil {
		return err
	}
	b, err := i.newBacking(img, limit)
	if err != nil {
		return errors.Join(err, img.close())
	}
	defer b.free()
	i.faults = countsFaults(b.resize(size))
	for round := range 4 {
		grown := b.resize(limit)
		if grown == nil {
			return errors.Join(errors.New("memory cannot grow"), img.close())
		}
		quiet := round == 3 // the same pages once more
		for at := min(round, 2); at < limit; at += (min(round, 2) + 1) * 5000 {
			grown[at] ^= 0xff
		}
		if _, err := b.restore(quiet && i.faults); err != nil {
			return errors.Join(err, img.close())
		}
		restored := b.resize(limit)
		if !bytes.Equal(restored[:size], pristine) || !bytes.Equal(restored[size:], make([]byte, limit-size)) {
			return errors.Join(errors.New("memory is not restored to what it was"), img.close())
		}
	}
	return img.close()
}

// countsFaults writes to a page that was only read before and tells whether that
// was counted.
func countsFaults(memory []byte) bool {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	var counter faultCounter
	page := memory[len(memory)-pageSize:]
	was := page[0]
	before := counter.count()
	page[0] = was + 1
	return before >= 0 && counter.count() > before
}
