package cast

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

func TestRoundTrip(t *testing.T) {
	b := AppendHeader(nil, Header{Width: 80, Height: 24, Timestamp: 1700000000, Title: `a "b"`})
	b = AppendEvent(b, 1500*time.Millisecond+3*time.Microsecond, Output, []byte("\x1b[1mä\"\\\r\n\x00\x7f\xff"))
	b = AppendEvent(b, 2*time.Second, Resize, []byte("100x50"))
	r, err := NewReader(bytes.NewReader(b))
	if err != nil || r.Width != 80 || r.Title != `a "b"` || r.Version != 2 {
		t.Fatalf("%+v %v", r, err)
	}
	e, err := r.Next()
	if err != nil || e.Time != 1500003*time.Microsecond || e.Code != Output || e.Data != "\x1b[1mä\"\\\r\n\x00\x7f\ufffd" {
		t.Errorf("%+v %v", e, err)
	}
	if e, err = r.Next(); err != nil || e.Data != "100x50" {
		t.Errorf("%+v %v", e, err)
	}
	if _, err = r.Next(); !errors.Is(err, io.EOF) {
		t.Error(err)
	}
	for line := range strings.Lines(string(b)) {
		if !json.Valid([]byte(line)) {
			t.Errorf("%s is no JSON", line)
		}
	}
}

func TestMalformed(t *testing.T) {
	for name, text := range map[string]string{
		"empty": "", "no header": "[1,\"o\",\"x\"]\n", "version 1": `{"version":1}`, "no event": "{\"version\":2}\n{}\n",
		"time goes back before the beginning": "{\"version\":2}\n[-1,\"o\",\"x\"]\n", "a long line": "{\"version\":2}\n" + strings.Repeat("x", MaxLine+10),
	} {
		r, err := NewReader(strings.NewReader(text))
		if err == nil {
			_, err = r.Next()
		}
		if !errors.Is(err, ErrForm) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// FuzzAppendEvent holds that every event is one line of JSON that reads as it
// was written.
func FuzzAppendEvent(f *testing.F) {
	f.Add([]byte("x\xff\x00\"\\\u2028"), int64(1))
	f.Fuzz(func(t *testing.T, data []byte, us int64) {
		b := AppendEvent(AppendHeader(nil, Header{}), time.Duration(us), Output, data)
		if bytes.Count(b, []byte("\n")) != 2 {
			t.Fatalf("%q", b)
		}
		r, err := NewReader(bytes.NewReader(b))
		if err != nil {
			t.Fatal(err)
		}
		e, err := r.Next()
		if len(b) > MaxLine || us > 1e18 {
			return
		}
		want := strings.ToValidUTF8(string(data), "\ufffd")
		if err != nil || utf8.Valid(data) && e.Data != want {
			t.Fatalf("%q became %q: %v", data, e.Data, err)
		}
	})
}

// FuzzReader reads anything.
func FuzzReader(f *testing.F) {
	f.Add([]byte("{\"version\":2}\n[1,\"o\",\"\x1b[6n\"]\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		var out bytes.Buffer
		if err := CopySafe(&out, bytes.NewReader(text)); err == nil && bytes.Contains(out.Bytes(), []byte(`\u001b[6n`)) {
			t.Fatalf("%q became %q", text, out.Bytes())
		}
	})
}
