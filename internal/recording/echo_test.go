package recording

import (
	"strings"
	"testing"
	"time"
)

// step is something typed (i) or shown (o).
type step struct{ i, o string }

func typedIn(steps ...step) string {
	var e echo
	var out strings.Builder
	put := func(known []typed) {
		for _, k := range known {
			out.Write(k.shown())
		}
	}
	for n, s := range steps {
		at := time.Duration(n) * time.Millisecond
		if s.i != "" {
			put(e.input([]byte(s.i), at))
		}
		if s.o != "" {
			put(e.output([]byte(s.o)))
		}
	}
	put(e.end())
	return out.String()
}

func each(in string) (out []step) {
	for _, r := range in {
		out = append(out, step{i: string(r)})
	}
	return out
}

func TestEcho(t *testing.T) {
	const dot = "\u2022"
	for _, c := range []struct {
		name  string
		steps []step
		want  string
	}{
		{"typed and echoed", []step{{i: "l"}, {o: "l"}, {i: "s"}, {o: "s"}, {i: "\r"}, {o: "\r\n"}}, "ls\r"},
		{"typed ahead of the echo", []step{{i: "l"}, {i: "s"}, {i: "\r"}, {o: "ls\r\n"}}, "ls\r"},
		{"pasted", []step{{i: "ls -l\r"}, {o: "ls "}, {o: "-l\r\ntotal 0"}}, "ls -l\r"},
		{"a password", append(each("secret\r"), step{o: "\r\nWelcome"}), strings.Repeat(dot, 6) + "\r"},
		{"a password pasted", []step{{i: "secret\r"}, {o: "\r\nWelcome"}}, strings.Repeat(dot, 6) + "\r"},
		{"a password shown as stars", []step{{i: "p"}, {o: "*"}, {i: "w"}, {o: "*"}, {i: "\r"}, {o: "\r\n"}}, dot + dot + "\r"},
		{"a password while something is shown that has its letters", []step{{i: "p"}, {o: "xp"}, {i: "a"}, {o: "a"}, {i: "s"}, {o: "s"}, {i: "\r"}}, dot + dot + dot + "\r"},
		{"a password of other characters", []step{{i: "пароль"}, {o: "\r\n"}}, strings.Repeat(dot, 6)},
		{"keys", []step{{i: "\x1b[A"}, {o: "ls"}, {i: "\x03"}, {o: "^C\r\n"}, {i: "\t"}}, "\x1b[A\x03\t"},
		{"after a password", append(each("pw\r"), step{o: "\r\n$ "}, step{i: "i"}, step{o: "i"}, step{i: "d"}, step{o: "d"}), dot + dot + "\rid"},
		{"nothing shown", each("abc"), dot + dot + dot},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := typedIn(c.steps...); got != c.want {
				t.Errorf("%q, want %q", got, c.want)
			}
		})
	}
}

// FuzzEcho holds that no character is recorded as typed that was not shown, and
// that all are accounted for.
func FuzzEcho(f *testing.F) {
	f.Add("ls\r", "ls\r\n")
	f.Add("secret\r", "\r\nWelcome")
	f.Add("\x1b[A", "\x1b[A")
	f.Fuzz(func(t *testing.T, in, out string) {
		got := typedIn(step{i: in}, step{o: out})
		if len([]rune(in)) > 0 && got == "" {
			t.Errorf("%q left no trace", in)
		}
		for _, r := range got {
			if r >= ' ' && r != 0x7f && r != '\u2022' && !strings.ContainsRune(out, r) && !keys([]byte(in)) {
				t.Errorf("%q is recorded of %q, and was not shown in %q", r, in, out)
			}
		}
	})
}
