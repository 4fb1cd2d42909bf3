// Package report is how the parts of the soak tell what came of them.
package report
