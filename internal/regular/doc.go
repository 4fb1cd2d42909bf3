// Package regular reads files whose names come from somebody else: regular files and nothing else, so many bytes and no
// more. A named pipe that nobody writes to, or a device that never ends, is an error at once.
package regular
