// Package cast reads and writes recordings of terminal sessions in the form
// asciicast v2 (https://docs.asciinema.org/manual/asciicast/v2/): a header in
// one line of JSON, then a line [SECONDS, CODE, DATA] for each event. It also
// makes what a terminal was sent harmless to another terminal.
package cast

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"time"
)

// Codes of events. Readers pass over codes that they do not know.
const (
	Output = "o" // what the user was shown
	Input  = "i" // what the user typed; a bullet stands for a character that was not echoed
	Resize = "r" // COLUMNSxROWS
	Marker = "m" // what the recorder itself has to say
)

// Hidden stands in an input event for one character that was typed without echo.
const Hidden = "\u2022"

// ErrForm is wrapped by every refusal of what is no recording.
var ErrForm = errors.New("not a recording in asciicast v2")

// Header begins a recording.
type Header struct {
	Version int `json:"version"` // 2
	Width   int `json:"width"`
	Height  int `json:"height"`
	// Timestamp is when the session began, in seconds since 1970.
	Timestamp int64  `json:"timestamp,omitempty"`
	Title     string `json:"title,omitempty"`
}

// Event is something that happened in a session.
type Event struct {
	// Time counts from the beginning of the session.
	Time time.Duration
	Code string
	Data string
}

// MarshalJSON writes the event as it stands in a recording.
func (e Event) MarshalJSON() ([]byte, error) { return appendEvent(nil, e), nil }

// MaxLine bounds a line of a recording, in bytes.
const MaxLine = 1 << 20

// Reader reads a recording. It is not safe for concurrent use.
type Reader struct {
	Header
	lines *bufio.Scanner
	line  int
}

// NewReader reads the header.
func NewReader(r io.Reader) (*Reader, error) {
	c := &Reader{lines: bufio.NewScanner(r)}
	c.lines.Buffer(make([]byte, 0, 64<<10), MaxLine)
	line, err := c.next()
	if errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("%w: it is empty", ErrForm)
	}
	if err != nil {
		return nil, err
	}
	if err := json.Unmarshal(line, &c.Header); err != nil {
		return nil, fmt.Errorf("%w: line 1 is no header", ErrForm)
	}
	if c.Version != 2 || c.Width < 0 || c.Height < 0 {
		return nil, fmt.Errorf("%w: line 1 has version %d, %d by %d", ErrForm, c.Version, c.Width, c.Height)
	}
	return c, nil
}

func (c *Reader) next() ([]byte, error) {
	for c.lines.Scan() {
		c.line++
		if b := c.lines.Bytes(); len(b) > 0 {
			return b, nil
		}
	}
	switch err := c.lines.Err(); {
	case errors.Is(err, bufio.ErrTooLong):
		return nil, fmt.Errorf("%w: line %d is longer than %d bytes", ErrForm, c.line+1, MaxLine)
	case err != nil:
		return nil, fmt.Errorf("read a recording: %w", err)
	}
	return nil, io.EOF
}

// Next returns the next event, and io.EOF at the end.
func (c *Reader) Next() (Event, error) {
	line, err := c.next()
	if err != nil {
		return Event{}, err
	}
	var seconds float64
	var e Event
	if err := json.Unmarshal(line, &[]any{&seconds, &e.Code, &e.Data}); err != nil {
		return Event{}, fmt.Errorf("%w: line %d is no event", ErrForm, c.line)
	}
	if math.IsNaN(seconds) || seconds < 0 || seconds > 1e9 {
		return Event{}, fmt.Errorf("%w: line %d has the time %v", ErrForm, c.line, seconds)
	}
	e.Time = time.Duration(math.Round(seconds*1e6)) * time.Microsecond
	return e, nil
}
