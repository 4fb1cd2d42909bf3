package plugin

import (
	"errors"
	"os"
	"path/filepath"
)

// ExchangeInSteps is the exchange of a file system that cannot do it at once. It ends after
// the first step if the process is killed there.
func ExchangeInSteps(dir, hidden, with, id string, killed bool) error {
	if killed {
		former := filepath.Join(hidden, formerName)
		return errors.Join(os.Mkdir(former, 0o700), os.Rename(filepath.Join(dir, id), filepath.Join(former, id)))
	}
	s := &staging{dir: dir, hidden: hidden, swap: func(string, string) error { return errors.ErrUnsupported }}
	return s.exchange(with, id)
}
