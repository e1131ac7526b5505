// Package e2e drives the real programs, demarc and demarc-agent, from outside:
// as a user at a shell, as machines that report, and as a disk, a database, a
// clock or a kill that does its worst.
//
// It has tests only. Each test that turns the verdict of a duty by real facts
// names the duty in a comment, and docs/duties.md is made from these.
package e2e
