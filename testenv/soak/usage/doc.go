// Package usage measures what a process uses, and tells what has grown: between
// two measurements, or along many.
package usage
