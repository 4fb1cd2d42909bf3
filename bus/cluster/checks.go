//go:build !unclaimed && !unfenced

package cluster

// What keeps a fire from running twice. The chaos suite builds replicas without
// one of them, to show that it would notice.
const (
	// Claims: a fire is run by who could write its claim, and only if it is due by
	// the record.
	Claims = true
	// Fencing: a leader publishes only while its own clock says that its term
	// lasts, and a fire of a former term is not run.
	Fencing = true
)
