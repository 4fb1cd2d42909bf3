// Package calls makes calls of every sort, very many of them, checks each answer
// and watches what the process uses meanwhile.
package calls
