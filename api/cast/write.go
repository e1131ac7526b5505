package cast

import (
	"encoding/json"
	"strconv"
	"time"
	"unicode/utf8"
)

// AppendHeader appends the first line of a recording to b.
func AppendHeader(b []byte, h Header) []byte {
	h.Version = 2
	line, err := json.Marshal(h)
	if err != nil {
		panic("cast: " + err.Error()) // numbers and a string
	}
	return append(append(b, line...), '\n')
}

// AppendEvent appends the line of an event to b. Bytes of data that are not
// UTF-8 become U+FFFD.
func AppendEvent(b []byte, at time.Duration, code string, data []byte) []byte {
	b = begin(b, at, code)
	b = appendText(b, data)
	return append(b, '"', ']', '\n')
}

func appendEvent(b []byte, e Event) []byte {
	b = begin(b, e.Time, e.Code)
	b = appendText(b, []byte(e.Data))
	return append(b, '"', ']')
}

func begin(b []byte, at time.Duration, code string) []byte {
	us := max(0, at.Microseconds())
	b = append(b, '[')
	b = strconv.AppendInt(b, us/1e6, 10)
	b = append(b, '.')
	frac := us % 1e6
	for unit := int64(1e5); unit > 0; unit /= 10 {
		b = append(b, byte('0'+frac/unit%10))
	}
	b = append(b, ',', '"')
	b = appendText(b, []byte(code))
	return append(b, '"', ',', '"')
}

const hex = "0123456789abcdef"

// appendText appends data as the inside of a JSON string. It is written for
// speed: everything that a session shows goes through it.
func appendText(b, data []byte) []byte {
	start := 0
	for i := 0; i < len(data); {
		c := data[i]
		if c >= 0x20 && c < 0x7f && c != '"' && c != '\\' {
			i++
			continue
		}
		if c < utf8.RuneSelf {
			b = append(b, data[start:i]...)
			switch c {
			case '"', '\\':
				b = append(b, '\\', c)
			case '\n':
				b = append(b, '\\', 'n')
			case '\r':
				b = append(b, '\\', 'r')
			case '\t':
				b = append(b, '\\', 't')
			default:
				b = append(b, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
			}
			i++
			start = i
			continue
		}
		r, n := utf8.DecodeRune(data[i:])
		if r == utf8.RuneError && n == 1 {
			b = append(b, data[start:i]...)
			b = append(b, `\ufffd`...)
			start = i + 1
		}
		i += n
	}
	return append(b, data[start:]...)
}
