package subjects

import (
	"fmt"
	"strings"
)

// HeaderValue returns the value of a header of the contract; empty is that it is not there. The
// case of its name does not matter: libraries differ in whether they keep it. One that is
// there twice, under names that differ in case or not, is an error: who reads the first and
// who reads the last would not mean the same.
func HeaderValue(header map[string][]string, name string) (value string, err error) {
	times := 0
	for key, values := range header {
		if len(key) != len(name) || len(values) == 0 || !strings.EqualFold(key, name) {
			continue
		}
		value = values[0]
		times += len(values)
	}
	if times > 1 {
		return "", fmt.Errorf("header %s is there %d times: want one", name, times)
	}
	return value, nil
}
