//go:build unfenced

package cluster

const (
	Claims  = true
	Fencing = false
)
