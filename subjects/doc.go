// Package subjects is the wire contract between a plugin host and its clients:
// subjects, headers, the encoding of foreign strings in them, and the errors
// with their codes. docs/protocol.md describes it in prose.
package subjects
