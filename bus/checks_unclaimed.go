//go:build unclaimed && !unfenced

package bus

const (
	claims  = false
	fencing = true
)
