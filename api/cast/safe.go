package cast

import (
	"strconv"
	"strings"
)

// Safe makes what a terminal was sent harmless to the terminal that it is
// replayed in: it lets pass text, colours, cursor movement, erasing and the
// alternate screen, and drops whatever else a terminal could be told, such as
// to change its title, to write the clipboard (OSC 52), or to answer as if the
// viewer typed (DA, DSR, DECRQSS, window reports). Sequences may be spread
// over several calls. The zero value begins in plain text.
//
// The sequences are those of ECMA-48 and xterm's ctlseqs.
type Safe struct {
	state state
	seq   []byte // what came of a sequence so far
	long  int    // bytes of a string that is being dropped
}

type state byte

const (
	ground state = iota
	escape
	charset // ESC ( or ESC ): one more character
	unknown // ESC and another intermediate byte: dropped with the next character
	control // CSI
	text    // OSC, DCS, SOS, PM, APC: until ST
	textEnd // the same after an ESC
)

const (
	// maxSequence bounds a control sequence; longer ones are dropped.
	maxSequence = 64
	// maxText ends a string that has no end, so that it hides nothing that follows.
	maxText = 4096
)

// Append appends to b what of data may be shown.
func (s *Safe) Append(b []byte, data string) []byte {
	for _, r := range data {
		b = s.rune(b, r)
	}
	return b
}

// String is Append for a whole text.
func (s *Safe) String(data string) string { return string(s.Append(nil, data)) }

func (s *Safe) rune(b []byte, r rune) []byte {
	switch {
	case r == 0x18 || r == 0x1a: // CAN and SUB abandon any sequence
		s.state = ground
		return b
	case r == 0x1b && s.state != text && s.state != textEnd:
		s.state, s.seq = escape, s.seq[:0]
		return b
	}
	switch s.state {
	case escape:
		return s.escaped(b, r)
	case charset:
		s.state = ground
		if r == 'B' || r == '0' || r == 'A' {
			b = append(b, 0x1b)
			b = append(append(b, s.seq...), byte(r))
		}
		return b
	case unknown:
		if r < 0x20 || r >= 0x30 {
			s.state = ground
		}
		return b
	case control:
		return s.controlled(b, r)
	case text, textEnd:
		s.skip(r)
		return b
	}
	if plain(r) {
		return append(b, string(r)...)
	}
	return b
}

// plain reports characters that every terminal shows or moves by. C1 controls
// are sequences to some terminals; bidirectional controls make a line read
// otherwise than it is.
func plain(r rune) bool {
	switch {
	case r == '\n', r == '\r', r == '\t', r == '\b', r == 0x0e, r == 0x0f:
		return true
	case r < 0x20, r >= 0x7f && r < 0xa0:
		return false
	case r >= 0x202a && r <= 0x202e, r >= 0x2066 && r <= 0x2069, r == 0x200e, r == 0x200f, r == 0x061c:
		return false
	}
	return true
}

// escaped takes the character after ESC.
func (s *Safe) escaped(b []byte, r rune) []byte {
	s.state = ground
	switch r {
	case '[':
		s.state = control
	case ']', 'P', 'X', '^', '_':
		s.state, s.long = text, 0
	case '(', ')':
		s.state, s.seq = charset, append(s.seq, byte(r))
	case '7', '8', 'D', 'E', 'M':
		b = append(b, 0x1b, byte(r))
	default:
		if r >= 0x20 && r < 0x30 { // an intermediate byte: one more is to come
			s.state = unknown
		}
	}
	return b
}

// skip drops a string until its end.
func (s *Safe) skip(r rune) {
	s.long++
	switch {
	case r == 0x07, r == 0x9c, s.state == textEnd && r == '\\', s.long > maxText:
		s.state = ground
	case r == 0x1b:
		s.state = textEnd
	default:
		s.state = text
	}
}

// controlled takes a character of a control sequence.
func (s *Safe) controlled(b []byte, r rune) []byte {
	switch {
	case r >= 0x20 && r <= 0x3f:
		if len(s.seq) <= maxSequence {
			s.seq = append(s.seq, byte(r))
		}
		return b
	case r >= 0x40 && r <= 0x7e:
		s.state = ground
		if len(s.seq) <= maxSequence && harmless(string(s.seq), byte(r)) {
			b = append(b, 0x1b, '[')
			b = append(append(b, s.seq...), byte(r))
		}
		return b
	case r < 0x20: // terminals carry out controls inside of a sequence
		if plain(r) {
			b = append(b, byte(r))
		}
		return b
	}
	s.state = ground
	return b
}

// modes are those whose setting changes only what is shown.
var modes = map[string]bool{"4": true, "?5": true, "?6": true, "?7": true, "?25": true, "?47": true, "?1047": true, "?1048": true, "?1049": true}

// harmless decides about a control sequence by its parameters and final byte.
func harmless(params string, final byte) bool {
	switch final {
	case 'm', 'A', 'B', 'C', 'D', 'E', 'F', 'G', 'H', 'I', 'J', 'K', 'L', 'M', 'P', 'S', 'T', 'X', 'Z', '@', '`', 'a', 'b', 'd', 'e', 'f', 'r':
		return numbers(params)
	case 's', 'u':
		return params == ""
	case 'h', 'l':
		private := ""
		if strings.HasPrefix(params, "?") {
			private, params = "?", params[1:]
		}
		for m := range strings.SplitSeq(params, ";") {
			if !modes[private+m] {
				return false
			}
		}
		return true
	}
	return false
}

// numbers accepts parameters that are numbers of a sensible size.
func numbers(params string) bool {
	for p := range strings.FieldsFuncSeq(params, func(r rune) bool { return r == ';' || r == ':' }) {
		if n, err := strconv.Atoi(p); err != nil || n < 0 || n > 9999 {
			return false
		}
	}
	return true
}
