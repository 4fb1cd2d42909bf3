package wire_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
)

// lineWidth is how long a line with a JSON value may be.
const lineWidth = 200

var errNoObject = errors.New("neither an object nor an array")

// layout writes a JSON document with as few lines as fit. Everything stays in its order.
func layout(document []byte) (string, error) {
	var compact bytes.Buffer
	if err := json.Compact(&compact, document); err != nil {
		return "", err
	}
	return layValue(compact.Bytes(), lineWidth)
}

// layValue is a value on one line if that has the width, else on a line for each part.
func layValue(value []byte, width int) (string, error) {
	if len(value) <= width || (value[0] != '{' && value[0] != '[') {
		return string(value), nil
	}
	decoder := json.NewDecoder(bytes.NewReader(value))
	open, err := decoder.Token()
	if err != nil {
		return "", err
	}
	var parts []string
	short := "" // what fits on the line that is being filled
	for decoder.More() {
		part, err := layPart(decoder, open == json.Delim('{'), width)
		if err != nil {
			return "", err
		}
		switch {
		case strings.Contains(part, "\n"):
			if short != "" {
				parts = append(parts, short)
			}
			parts, short = append(parts, part), ""
		case short != "" && len(short)+len(part) < width:
			short += "," + part
		default:
			if short != "" {
				parts = append(parts, short)
			}
			short = part
		}
	}
	if short != "" {
		parts = append(parts, short)
	}
	last := value[len(value)-1:]
	return string(value[:1]) + strings.ReplaceAll(strings.Join(parts, ",\n"), "\n", "\n ") + string(last), nil
}

// layPart is a field of an object, or a value of an array.
func layPart(decoder *json.Decoder, field bool, width int) (string, error) {
	name := ""
	if field {
		token, err := decoder.Token()
		if err != nil {
			return "", err
		}
		text, ok := token.(string)
		if !ok {
			return "", errNoObject
		}
		encoded, err := json.Marshal(text)
		if err != nil {
			return "", err
		}
		name = string(encoded) + ":"
	}
	var value json.RawMessage
	if err := decoder.Decode(&value); err != nil {
		return "", err
	}
	text, err := layValue(value, width-1)
	return name + text, err
}
