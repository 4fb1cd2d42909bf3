package plugin

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/xeipuuv/gojsonschema"

	"github.com/pluginhost/pluginhost/internal/nearest"
)

//go:embed manifest.schema.json
var schemaText string

// loadSchema compiles the embedded schema on first use. It is part of the program, so a broken one panics.
var loadSchema = sync.OnceValue(func() manifestSchema {
	compiled, err := gojsonschema.NewSchema(gojsonschema.NewStringLoader(schemaText))
	if err != nil {
		panic(fmt.Sprintf("plugin: manifest.schema.json does not compile: %v", err))
	}
	root := new(schemaNode)
	if err := json.Unmarshal([]byte(schemaText), root); err != nil {
		panic(fmt.Sprintf("plugin: manifest.schema.json does not decode: %v", err))
	}
	return manifestSchema{compiled: compiled, root: root}
})

// manifestSchema is the embedded schema, ready to validate and as a tree of the keys it knows.
type manifestSchema struct {
	compiled *gojsonschema.Schema
	root     *schemaNode
}

// schemaNode is what the schema says about the keys of one object.
type schemaNode struct {
	Properties map[string]*schemaNode `json:"properties"`
	Required   []string               `json:"required"`
	// Additional is what it says about all other keys: an object, if it knows them, too.
	Additional json.RawMessage `json:"additionalProperties"`
}

// keys returns the known keys in order.
func (n *schemaNode) keys() []string {
	return slices.Sorted(maps.Keys(n.Properties))
}

// optional finds the optional key that key spells, in whatever case.
func (n *schemaNode) optional(key string) (name string, found bool) {
	for name := range n.Properties {
		if strings.EqualFold(name, key) {
			return name, !slices.Contains(n.Required, name)
		}
	}
	return "", false
}

// known finds what the schema calls a key, in whatever case it is written; a key that the schema does not know has its own
// name. The keys of an object that may have any, such as URL patterns, are known as they are.
func (n *schemaNode) known(key string) (name string, known bool) {
	if n == nil {
		return key, false
	}
	for name := range n.Properties {
		if strings.EqualFold(name, key) {
			return name, true
		}
	}
	return key, bytes.HasPrefix(n.Additional, []byte("{"))
}

// findings collects what is wrong with one manifest.
type findings struct {
	faults, warnings []Problem
}

func (f *findings) fault(where location, format string, args ...any) {
	f.faults = append(f.faults, Problem{Path: where.String(), Text: fmt.Sprintf(format, args...)})
}

func (f *findings) warn(where location, format string, args ...any) {
	f.warnings = append(f.warnings, Problem{Path: where.String(), Text: fmt.Sprintf(format, args...)})
}

// foldKeys renames optional keys written in another case, in place. Navidrome matched keys whatever their case but
// insisted on the exact spelling of required ones. Ignoring an "AllowedUsernames" would give the plugin more than it asked for.
func foldKeys(object map[string]any, known *schemaNode, where location, found *findings) {
	for _, key := range slices.Sorted(maps.Keys(object)) {
		name, ok := known.optional(key)
		if !ok || key == name {
			continue
		}
		if _, taken := object[name]; taken {
			continue // checkKeys has told of it
		}
		found.warn(where.at(key), "should be written %q", name)
		object[name] = object[key]
		delete(object, key)
	}
	for name, child := range known.Properties {
		if value, ok := object[name].(map[string]any); ok {
			foldKeys(value, child, where.at(name), found)
		}
	}
}

// validate checks doc against the schema.
func (s manifestSchema) validate(doc any, found *findings) {
	result, err := s.compiled.Validate(gojsonschema.NewRawLoader(doc))
	if err != nil {
		found.fault(nil, "cannot be validated: %v", err)
		return
	}
	for _, violation := range result.Errors() {
		s.report(violation, found)
	}
}

// report turns one violation into a fault, or into a warning where Navidrome did not enforce its schema.
func (s manifestSchema) report(violation gojsonschema.ResultError, found *findings) {
	where := locate(violation)
	details := violation.Details()
	value := violation.Value()
	switch violation.Type() {
	case "required":
		property := fmt.Sprint(details["property"])
		found.fault(where.at(property), "is missing%s", otherSpelling(value, property))
	case "invalid_type":
		if value == nil && isMethodList(where) {
			found.warn(where, "allows no method here, list some or \"*\"")
			return
		}
		found.fault(where, "must be %s, not %s", typeName(details["expected"]), typeName(details["given"]))
	case "enum":
		allowed := fmt.Sprint(details["allowed"])
		found.fault(where, "%s is not known, %sallowed: %s", quote(fmt.Sprint(value)), didYouMean(value, allowed), allowed)
	case "array_min_items":
		if isMethodList(where) {
			found.warn(where, "allows no method here, list some or \"*\"")
			return
		}
		found.fault(where, "must have at least one item")
	case "array_min_properties":
		found.fault(where, `must have at least one URL pattern, such as "https://api.example.com/*": ["GET"]`)
	case "string_gte":
		found.fault(where, "must not be empty")
	case "pattern":
		if where[0] == "version" {
			found.warn(where, "%s is not a semantic version such as 1.2.3", quote(fmt.Sprint(value)))
			return
		}
		found.fault(where, "%s must begin with ws:// or wss://", quote(fmt.Sprint(value)))
	case "format":
		found.warn(where, "%s is not an absolute URI such as https://example.com", quote(fmt.Sprint(value)))
	case "unique":
		repeat, _ := details["j"].(int)
		found.warn(where.at(fmt.Sprint(repeat)), "is listed already")
	case "additional_property_not_allowed":
		property := fmt.Sprint(details["property"])
		found.warn(where.at(property), "is not known and ignored, allowed: %s", strings.Join(s.keysAt(where), ", "))
	default:
		found.fault(where, "%s", violation.Description())
	}
}

// locate splits the place of a violation into its keys. The separator cannot be part of a key, for it is not UTF-8 and
// decoded JSON always is.
func locate(violation gojsonschema.ResultError) location {
	const separator = "\xff"
	return strings.Split(violation.Context().String(separator), separator)[1:] // the first names the root
}

// isMethodList tells whether where is the list of methods of one http URL pattern.
func isMethodList(where location) bool {
	return len(where) == 4 && slices.Equal(where[:3], location{"permissions", "http", "allowedUrls"})
}

// keysAt returns the keys the schema knows at a place.
func (s manifestSchema) keysAt(where location) []string {
	node := s.root
	for _, key := range where {
		node = node.Properties[key]
	}
	return node.keys()
}

// otherSpelling says where a missing key may be hiding.
func otherSpelling(object any, missing string) string {
	members, _ := object.(map[string]any)
	for _, key := range slices.Sorted(maps.Keys(members)) {
		if strings.EqualFold(key, missing) {
			return fmt.Sprintf(" (%s must be written %q)", quote(key), missing)
		}
	}
	return ""
}

// didYouMean suggests one of the allowed values, which come as JSON strings with commas between.
func didYouMean(value any, allowed string) string {
	var candidates []string
	if err := json.Unmarshal([]byte("["+allowed+"]"), &candidates); err != nil {
		return ""
	}
	word, _ := value.(string)
	if match := nearest.To(word, candidates); match != "" {
		return fmt.Sprintf("did you mean %q? ", match)
	}
	return ""
}

// typeName names a JSON type, or a list of types such as [string,null], for a message. That null is tolerated is not said.
func typeName(schemaType any) string {
	name, _, _ := strings.Cut(strings.Trim(fmt.Sprint(schemaType), "[]"), ",")
	switch name {
	case "null":
		return name
	case "integer":
		return "a number"
	case "array", "object":
		return "an " + name
	default:
		return "a " + name
	}
}
