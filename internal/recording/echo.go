package recording

import (
	"bytes"
	"time"
	"unicode/utf8"

	"github.com/demarc/demarc/api/cast"
)

// echo decides what of a terminal's input may be recorded as it was typed.
// Whether the far terminal echoes is not told to anybody between, so it is seen
// from what comes back: input whose echo is the next thing shown was echoed.
// All other characters are kept as their number only; a password asked for
// without echo is among them. What is hidden this way and was no password shows
// in the output anyhow, where it was shown at all.
//
// Once a character was not echoed, the rest of its line is hidden without
// looking, so that output of another program that happens to begin with a
// character of a password does not reveal it.
type echo struct {
	pending []typed
	// hiding: the present line is not echoed.
	hiding bool
}

// typed is one packet of input.
type typed struct {
	at      time.Duration
	data    []byte
	matched int // bytes of data that were echoed so far
	clear   bool
}

// echoTime is how long an echo may take.
const echoTime = time.Second

// maxPending bounds what waits for its echo, in packets.
const maxPending = 4096

// shown is what the recording has of the packet.
func (t typed) shown() []byte {
	if t.clear {
		return t.data
	}
	var out []byte
	for rest := t.data; len(rest) > 0; {
		r, n := utf8.DecodeRune(rest)
		if r < ' ' || r == 0x7f {
			out = append(out, byte(r))
		} else {
			out = append(out, cast.Hidden...)
		}
		rest = rest[n:]
	}
	return out
}

// input takes a packet, and returns those that are decided.
func (e *echo) input(p []byte, at time.Duration) []typed {
	e.pending = append(e.pending, typed{at: at, data: bytes.Clone(p)})
	if len(e.pending) == 1 && keys(p) { // needs no echo to be shown
		return e.take(1, true)
	}
	if e.hiding || len(e.pending) > maxPending {
		return e.hideAll()
	}
	return nil
}

// output takes what is shown, and returns the packets that it decides.
func (e *echo) output(p []byte) (known []typed) {
	for len(e.pending) > 0 && len(p) > 0 {
		t := &e.pending[0]
		n, echoed := match(t.data[t.matched:], p)
		whole := t.matched+echoed == len(t.data)
		switch {
		case whole:
			p = p[n:]
			known = append(known, e.take(1, true)...)
		case n == len(p): // the echo may go on in the next output
			t.matched += echoed
			return known
		case keys(t.data):
			known = append(known, e.take(1, true)...)
		default:
			return append(known, e.hideAll()...)
		}
	}
	return known
}

// waited gives up on echoes that did not come.
func (e *echo) waited(now time.Duration) []typed {
	if len(e.pending) == 0 || now-e.pending[0].at < echoTime {
		return nil
	}
	return e.hideAll()
}

// end decides about all that is left.
func (e *echo) end() []typed { return e.hideAll() }

// hideAll decides about everything pending without an echo.
func (e *echo) hideAll() (known []typed) {
	for len(e.pending) > 0 {
		known = append(known, e.take(1, keys(e.pending[0].data))...)
	}
	return known
}

func (e *echo) take(n int, clear bool) []typed {
	out := e.pending[:n:n]
	e.pending = e.pending[n:]
	for i := range out {
		out[i].clear = clear
		switch {
		case bytes.ContainsAny(out[i].data, "\r\n\x03\x04"):
			e.hiding = false // the line is over
		case !clear:
			e.hiding = true
		}
	}
	if len(e.pending) == 0 {
		e.pending = nil
	}
	return out
}

// match compares input with the beginning of output: n bytes of output are the
// echo of the first echoed bytes of input.
func match(input, output []byte) (n, echoed int) {
	for _, c := range input {
		rest := output[n:]
		switch {
		case len(rest) == 0:
			return n, echoed
		case c == '\r' && bytes.HasPrefix(rest, []byte("\r\n")):
			n += 2
		case c == '\r' && rest[0] == '\n':
			n++
		case rest[0] == c:
			n++
		case (c < ' ' || c == 0x7f) && len(rest) >= 2 && rest[0] == '^' && rest[1] == c^0x40:
			n += 2
		default:
			return n, echoed
		}
		echoed++
	}
	return n, echoed
}

// keys reports input that consists of keys that write nothing, such as Enter,
// Ctrl-C or an arrow. They are no part of a password.
func keys(p []byte) bool {
	for i := 0; i < len(p); i++ {
		switch {
		case p[i] == 0x1b && i+1 < len(p) && (p[i+1] == '[' || p[i+1] == 'O'):
			i += 2
			for i < len(p) && p[i] >= 0x20 && p[i] < 0x40 {
				i++
			}
			if i >= len(p) {
				return false
			}
		case p[i] >= ' ' && p[i] != 0x7f:
			return false
		}
	}
	return true
}
