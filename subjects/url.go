package subjects

import "strings"

// WithoutUser removes tokens, user names and passwords from a list of NATS URLs,
// for logs, status and errors.
func WithoutUser(urls string) string {
	list := strings.Split(urls, ",")
	for i, one := range list {
		at := strings.LastIndexByte(one, '@')
		if at < 0 {
			continue
		}
		scheme := ""
		if end := strings.Index(one[:at], "://"); end >= 0 {
			scheme = one[:end] + "://"
		}
		list[i] = scheme + one[at+1:]
	}
	return strings.Join(list, ",")
}
