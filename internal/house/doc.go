// Package house holds the tests that keep the repository in order: which
// package may import which, how large a file may grow, and that documents say
// what the code does. It has no code of its own.
package house

//go:generate go run ./dutydoc -root ../..
