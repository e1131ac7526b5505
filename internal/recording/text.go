package recording

import (
	"time"
	"unicode/utf8"
)

// text records data of one direction, holding back a character whose bytes have
// not all come. mu is held.
func (rec *Recording) text(direction int, at time.Duration, code string, p []byte) {
	tail := &rec.tail[direction]
	if len(*tail) > 0 {
		p = append(*tail, p...)
		*tail = nil
	}
	whole := len(p) - incomplete(p)
	if whole < len(p) {
		*tail = append([]byte(nil), p[whole:]...)
	}
	const most = 32 << 10 // keeps lines of the file short
	for p = p[:whole]; len(p) > 0; {
		n := min(len(p), most)
		if n < len(p) {
			if cut := incomplete(p[:n]); cut < n {
				n -= cut
			}
		}
		rec.event(at, code, p[:n])
		p = p[n:]
	}
}

// incomplete returns how many bytes at the end of p begin a character that
// further bytes could complete.
func incomplete(p []byte) int {
	for back := 1; back <= min(utf8.UTFMax-1, len(p)); back++ {
		c := p[len(p)-back]
		if !utf8.RuneStart(c) {
			continue
		}
		if c >= utf8.RuneSelf && !utf8.FullRune(p[len(p)-back:]) {
			return back
		}
		return 0
	}
	return 0
}
