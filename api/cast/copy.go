package cast

import (
	"bufio"
	"errors"
	"io"
)

// CopySafe copies a recording, with what was shown and typed made harmless by
// Safe. The title loses its control characters.
func CopySafe(w io.Writer, r io.Reader) error {
	c, err := NewReader(r)
	if err != nil {
		return err
	}
	out := bufio.NewWriterSize(w, 64<<10)
	h := c.Header
	h.Title = new(Safe).String(h.Title)
	line := AppendHeader(nil, h)
	var shown Safe
	for {
		if _, err := out.Write(line); err != nil {
			return err
		}
		e, err := c.Next()
		if errors.Is(err, io.EOF) {
			return out.Flush()
		}
		if err != nil {
			return errors.Join(err, out.Flush())
		}
		if e.Code == Output {
			e.Data = shown.String(e.Data)
		} else {
			e.Data = new(Safe).String(e.Data)
		}
		line = AppendEvent(line[:0], e.Time, e.Code, []byte(e.Data))
	}
}
