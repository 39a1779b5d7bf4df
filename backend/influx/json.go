package influx

import (
	"errors"
	"io"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// Answers are decoded by what is to be encoding/json's second version: the answer to a mint in a third of the time, and a
// list in flat memory.

// asV1 has JSON taken as encoding/json takes it: not refused for what the standard leaves open.
var asV1 = json.JoinOptions(jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true), json.MatchCaseInsensitiveNames(true))

// decode decodes an answer, which the caller bounds: it is read whole, because a decoder that waits for more begins a long
// value anew each time. The error is io.EOF for an empty answer, and io.ErrUnexpectedEOF for one that was cut off.
func decode(answer io.Reader, out any) error {
	text, err := io.ReadAll(answer)
	if err != nil {
		return err
	}
	return decodeAll(text, out)
}

// decodeAll is decode of an answer that was read already.
func decodeAll(text []byte, out any) error {
	if len(text) == 0 {
		return io.EOF
	}
	return asCutOff(json.Unmarshal(text, out, asV1))
}

// asCutOff returns io.ErrUnexpectedEOF where err is that in the decoder's words.
func asCutOff(err error) error {
	if errors.Is(err, io.ErrUnexpectedEOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// ErrUnexpected is an answer that can be read but is not what was asked for.
var ErrUnexpected = errors.New("not the expected answer")

// isForeign reports whether err says that an answer was read but is not what was asked for.
func isForeign(err error) bool {
	_, syntax := errors.AsType[*jsontext.SyntacticError](err)
	_, typed := errors.AsType[*json.SemanticError](err)
	return syntax || typed || errors.Is(err, ErrUnexpected) || errors.Is(err, io.EOF)
}
