//go:build !mutants

// Package mutant names deliberate breaks of the safety rules. Without the build
// tag "mutants" there are none, and asking costs nothing; with it, the simulator
// breaks one at a time and has to find each.
package mutant

// Is tells whether the rule called name is broken now.
func Is(name string) bool { return false }
