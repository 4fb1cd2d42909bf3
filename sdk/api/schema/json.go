package schema

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/dynamicpb"
)

// ErrNotMessage says that bytes are not a message of the expected type.
var ErrNotMessage = errors.New("not a valid message")

// maxValues is how many values a message may have that is converted: one of three bytes
// takes hundreds while it is.
const maxValues = 100_000

// ErrManyValues says that a message has more values than are converted, counted with those
// inside of others: 100,000.
var ErrManyValues = fmt.Errorf("it has more than %d values", maxValues)

// RequestFromJSON converts a request to its binary form. Field names may be
// lowerCamelCase or as in the contract. The error names what does not decode; it is
// ErrManyValues where there are too many to look at.
func (m *Method) RequestFromJSON(data []byte) ([]byte, error) {
	return m.fromJSON(protojson.UnmarshalOptions{}, data)
}

// RequestFromNewerJSON is RequestFromJSON of a sender who may be of a later version: fields that this one does not know are left
// out.
func (m *Method) RequestFromNewerJSON(data []byte) ([]byte, error) {
	return m.fromJSON(protojson.UnmarshalOptions{DiscardUnknown: true}, data)
}

func (m *Method) fromJSON(options protojson.UnmarshalOptions, data []byte) ([]byte, error) {
	if manyInJSON(data) {
		return nil, fmt.Errorf("%s: %w", m.request.Name(), ErrManyValues)
	}
	message := dynamicpb.NewMessage(m.request)
	if err := options.Unmarshal(data, message); err != nil {
		return nil, fmt.Errorf("%s: %w", m.request.Name(), err)
	}
	return proto.Marshal(message)
}

// ResponseToJSON converts a response to JSON: lowerCamelCase, default values
// omitted, invalid UTF-8 replaced by U+FFFD. Bytes that are no such message are
// ErrNotMessage, and those of too many values ErrManyValues.
func (m *Method) ResponseToJSON(data []byte) ([]byte, error) {
	return toJSON(m.response, data)
}

// CheckResponse returns ErrManyValues of a response that has more values than are converted: whoever decodes it takes up to 50
// times its bytes.
func (m *Method) CheckResponse(data []byte) error {
	if left := fewer(m.response, data, maxValues); left < 0 {
		return fmt.Errorf("%s: %w", m.response.Name(), ErrManyValues)
	}
	return nil
}

func toJSON(descriptor protoreflect.MessageDescriptor, data []byte) ([]byte, error) {
	if left := fewer(descriptor, data, maxValues); left < 0 {
		return nil, fmt.Errorf("%s: %w", descriptor.Name(), ErrManyValues)
	}
	message := dynamicpb.NewMessage(descriptor)
	if err := proto.Unmarshal(data, message); err != nil {
		// Guests do not check their strings; one broken tag should not hide
		// the rest of a response.
		valid, ok := replaceInvalidUTF8(descriptor, data)
		if !ok || proto.Unmarshal(valid, message) != nil {
			return nil, fmt.Errorf("%s: %w", descriptor.Name(), ErrNotMessage)
		}
	}
	return protojson.Marshal(message)
}

// replaceInvalidUTF8 rewrites the strings of an encoded message, at any depth.
// It reports false where the bytes are no message at all.
func replaceInvalidUTF8(descriptor protoreflect.MessageDescriptor, data []byte) ([]byte, bool) {
	var out []byte
	for len(data) > 0 {
		number, wireType, tagLen := protowire.ConsumeTag(data)
		if tagLen < 0 {
			return nil, false
		}
		valueLen := protowire.ConsumeFieldValue(number, wireType, data[tagLen:])
		if valueLen < 0 {
			return nil, false
		}
		field := descriptor.Fields().ByNumber(number)
		raw := data[:tagLen+valueLen]
		data = data[tagLen+valueLen:]
		if field == nil || wireType != protowire.BytesType {
			out = append(out, raw...)
			continue
		}
		value, _ := protowire.ConsumeBytes(raw[tagLen:])
		switch field.Kind() {
		case protoreflect.StringKind:
			if !utf8.Valid(value) {
				value = []byte(strings.ToValidUTF8(string(value), "\uFFFD"))
			}
		case protoreflect.MessageKind:
			var ok bool
			if value, ok = replaceInvalidUTF8(field.Message(), value); !ok {
				return nil, false
			}
		default:
		}
		out = protowire.AppendTag(out, number, wireType)
		out = protowire.AppendBytes(out, value)
	}
	return out, true
}

// manyInJSON says whether JSON has more than maxValues values. What is no JSON may have any
// number.
func manyInJSON(data []byte) bool {
	values, inString := 0, false
	for i := 0; i < len(data); i++ {
		switch c := data[i]; {
		case c == '"':
			inString = !inString
		case inString && c == '\\':
			i++
		case !inString && (c == ',' || c == '{' || c == '['):
			values++
		}
	}
	return values > maxValues
}

// fewer takes the values of an encoded message off how many there may be; what is left is
// negative where there are more.
func fewer(descriptor protoreflect.MessageDescriptor, data []byte, left int) int {
	for len(data) > 0 && left >= 0 {
		number, wireType, tagLen := protowire.ConsumeTag(data)
		if tagLen < 0 {
			return left
		}
		valueLen := protowire.ConsumeFieldValue(number, wireType, data[tagLen:])
		if valueLen < 0 {
			return left
		}
		value := data[tagLen : tagLen+valueLen]
		data = data[tagLen+valueLen:]
		left--
		field := descriptor.Fields().ByNumber(number)
		if field == nil || wireType != protowire.BytesType {
			continue
		}
		value, _ = protowire.ConsumeBytes(value)
		switch field.Kind() {
		case protoreflect.StringKind, protoreflect.BytesKind:
		case protoreflect.MessageKind:
			left = fewer(field.Message(), value, left)
		default:
			left -= len(value) // packed
		}
	}
	return left
}
