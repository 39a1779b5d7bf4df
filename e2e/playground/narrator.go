package main

import (
	"fmt"
	"io"
)

// shownCharacters of a minted token identify it to the reader and are of no use to anyone else.
const shownCharacters = 6

// narrator prints the story: numbered steps, each with the command a person would type, and what came
// of it.
type narrator struct {
	out   io.Writer
	steps int
}

func (n *narrator) step(format string, args ...any) {
	n.steps++
	fmt.Fprintf(n.out, "\n%d. %s\n", n.steps, fmt.Sprintf(format, args...))
}

func (n *narrator) command(format string, args ...any) {
	fmt.Fprintf(n.out, "   $ %s\n", fmt.Sprintf(format, args...))
}

func (n *narrator) result(format string, args ...any) {
	fmt.Fprintf(n.out, "   → %s\n", fmt.Sprintf(format, args...))
}

// shortened is the beginning of a token.
func shortened(token string) string {
	return token[:min(len(token), shownCharacters)] + "…"
}
