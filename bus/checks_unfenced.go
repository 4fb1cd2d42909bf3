//go:build unfenced

package bus

const (
	claims  = true
	fencing = false
)
