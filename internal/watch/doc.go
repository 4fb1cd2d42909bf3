// Package watch notices changes of files once they are over: what is still
// being written is not taken up. It goes by what the system tells and, where
// that is not enough, looks for itself.
package watch
