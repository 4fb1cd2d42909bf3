package plugin

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
)

// maxPath is how many keys and indexes deep a place is told; what lies deeper is told of the place above it.
const maxPath = 16

// walk goes through a document in the order of its bytes: once it is decoded, nobody sees that a key was there twice.
type walk struct {
	found  *findings
	values int
	open   []container // the outermost first
}

// container is an object or an array that has not ended.
type container struct {
	node  *schemaNode // what the schema says about it; nil is nothing
	where location
	// spelled has the keys so far, by their names: those that the schema knows, whatever their case, and all others as they
	// are. It is nil for an array.
	spelled map[string]string
	// key is the one whose value comes next; isValue says that there is one.
	key     string
	isValue bool
	index   int // of the next element
}

// checkKeys checks the bounds on values and keys of a document, and looks for keys that an object has twice: which of the
// two counts is up to who reads it. Where the schema knows the key that is a fault, and elsewhere a warning. The document
// must be valid JSON.
func checkKeys(data []byte, root *schemaNode, found *findings) error {
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.UseNumber()
	w := walk{found: found}
	for {
		token, err := decoder.Token()
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return fmt.Errorf("is not JSON: %w", err)
		}
		if err := w.take(token, root); err != nil {
			return err
		}
	}
}

// take takes the next token.
func (w *walk) take(token json.Token, root *schemaNode) error {
	delim, _ := token.(json.Delim)
	if delim == '}' || delim == ']' {
		w.open = w.open[:len(w.open)-1]
		return nil
	}
	var inside *container
	if len(w.open) > 0 {
		inside = &w.open[len(w.open)-1]
	}
	if inside != nil && inside.spelled != nil && !inside.isValue {
		key, _ := token.(string)
		return w.takeKey(inside, key)
	}
	if w.values++; w.values > maxManifestValues {
		return fmt.Errorf("has more than %d values", maxManifestValues)
	}
	next := container{node: root}
	if inside != nil {
		next.node, next.where = inside.value()
	}
	switch delim {
	case '{':
		next.spelled = make(map[string]string)
		w.open = append(w.open, next)
	case '[':
		next.node = nil // no schema of ours has objects in arrays
		w.open = append(w.open, next)
	}
	return nil
}

// takeKey takes the next key of an object.
func (w *walk) takeKey(object *container, key string) error {
	if len(key) > maxManifestKey {
		return fmt.Errorf("key %s has more than %d bytes", quote(key), maxManifestKey)
	}
	object.key, object.isValue = key, true
	name, known := object.node.known(key)
	before, repeated := object.spelled[name]
	switch {
	case !repeated:
		object.spelled[name] = key
	case !known:
		w.found.warn(object.at(name), "is there twice, and the last one counts: keep one")
	case before == key:
		w.found.fault(object.at(name), "is there twice: keep one")
	case key == name:
		w.found.fault(object.at(name), "is there twice, also as %s: keep one", quote(before))
	default:
		w.found.fault(object.at(name), "is there twice, also as %s: keep one", quote(key))
	}
	return nil
}

// value is where the next value of a container lies, and what the schema says about it.
func (c *container) value() (*schemaNode, location) {
	if c.spelled == nil {
		c.index++
		return nil, c.at(strconv.Itoa(c.index - 1))
	}
	c.isValue = false
	name, _ := c.node.known(c.key)
	if c.node == nil {
		return nil, c.at(name)
	}
	return c.node.Properties[name], c.at(name)
}

// at is the place of one element.
func (c *container) at(key string) location {
	if len(c.where) >= maxPath {
		return c.where
	}
	return c.where.at(key)
}
