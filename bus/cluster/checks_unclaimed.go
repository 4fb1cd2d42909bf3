//go:build unclaimed && !unfenced

package cluster

const (
	Claims  = false
	Fencing = true
)
