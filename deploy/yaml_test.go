package deploy_test

import (
	"errors"
	"io"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

// documents parses YAML; a key that is there twice is an error.
func documents(t *testing.T, text string) []any {
	t.Helper()
	var all []any
	for decoder := yaml.NewDecoder(strings.NewReader(text)); ; {
		var document any
		switch err := decoder.Decode(&document); {
		case errors.Is(err, io.EOF):
			return all
		case err != nil:
			t.Fatal(err)
		}
		all = append(all, document)
	}
}

// at returns what is at a path of keys and indexes; nil is nothing.
func at(value any, path ...any) any {
	for _, step := range path {
		switch step := step.(type) {
		case string:
			m, _ := value.(map[string]any)
			value = m[step]
		case int:
			list, _ := value.([]any)
			if step >= len(list) {
				return nil
			}
			value = list[step]
		}
	}
	return value
}

func list(value any) []any {
	l, _ := value.([]any)
	return l
}

// texts is a list of strings.
func texts(value any) []string {
	var all []string
	for _, element := range list(value) {
		s, _ := element.(string)
		all = append(all, s)
	}
	return all
}

func text(value any) string {
	s, _ := value.(string)
	return s
}
