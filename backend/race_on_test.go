//go:build race

package backend

// withRace says that the race detector is on.
const withRace = true
