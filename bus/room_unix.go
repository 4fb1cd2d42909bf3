//go:build unix

package bus

import "golang.org/x/sys/unix"

// diskSpace is how many bytes are free on the disk of a folder, for this user, and how many
// there are; ok is false if the system does not tell.
func diskSpace(folder string) (free, total int64, ok bool) {
	var stat unix.Statfs_t
	if err := unix.Statfs(folder, &stat); err != nil {
		return 0, 0, false
	}
	size := int64(stat.Bsize)                                         //nolint:unconvert // it is 32 bits wide elsewhere
	return int64(stat.Bavail) * size, int64(stat.Blocks) * size, true // #nosec G115 -- no disk has as many bytes
}
