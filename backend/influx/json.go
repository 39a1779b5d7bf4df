package influx

import (
	"errors"
	"fmt"
	"io"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// Answers are decoded by what is to be encoding/json's second version: the answer to a mint in a third of the time, and a
// list in flat memory.

// asV1 has JSON taken as encoding/json takes it: not refused for what the standard leaves open.
var asV1 = json.JoinOptions(jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true), json.MatchCaseInsensitiveNames(true))

// decode decodes an answer, which the caller bounds: it is read whole, because a decoder that waits for more begins a long
// value anew each time. The error is io.EOF for an empty answer, and has io.ErrUnexpectedEOF in it for one that was cut off.
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
	return json.Unmarshal(text, out, asV1)
}

// NewDecoder returns a decoder of a list, which may have any length; no value in it that is read whole may be longer than
// maxBody. What a decoder holds in memory is what it has got and not handed on.
func NewDecoder(list io.Reader) *jsontext.Decoder {
	w := &window{list: list}
	w.decoder = jsontext.NewDecoder(w, asV1)
	return w.decoder
}

// window is the part of a list that its decoder holds.
type window struct {
	list    io.Reader
	decoder *jsontext.Decoder
	read    int64
}

func (w *window) Read(p []byte) (int, error) {
	if w.read-w.decoder.InputOffset() > maxBody {
		return 0, fmt.Errorf("%w: a value in it is longer than %d MB", ErrUnexpected, maxBody>>20)
	}
	n, err := w.list.Read(p)
	w.read += int64(n)
	return n, err
}

// ErrUnexpected is an answer that can be read but is not what was asked for.
var ErrUnexpected = errors.New("not the expected answer")

// isForeign reports whether err says that an answer was read but is not what was asked for.
func isForeign(err error) bool {
	_, syntax := errors.AsType[*jsontext.SyntacticError](err)
	_, typed := errors.AsType[*json.SemanticError](err)
	return syntax || typed || errors.Is(err, ErrUnexpected) || errors.Is(err, io.EOF)
}
