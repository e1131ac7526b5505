package cast

import (
	"strings"
	"testing"
	"unicode/utf8"
)

func TestSafe(t *testing.T) {
	for _, c := range []struct{ name, in, want string }{
		{"text", "ls -l\r\n\tnaïve 日本\b", "ls -l\r\n\tnaïve 日本\b"},
		{"colours", "\x1b[1;31mred\x1b[0m\x1b[38;2;1;2;3mx\x1b[m", "\x1b[1;31mred\x1b[0m\x1b[38;2;1;2;3mx\x1b[m"},
		{"movement and erasing", "\x1b[2J\x1b[H\x1b[10;20H\x1b[K\x1b[3A\x1b7\x1b8", "\x1b[2J\x1b[H\x1b[10;20H\x1b[K\x1b[3A\x1b7\x1b8"},
		{"alternate screen and cursor", "\x1b[?1049h\x1b[?25l\x1b[?1049l", "\x1b[?1049h\x1b[?25l\x1b[?1049l"},
		{"line drawing", "\x1b(0lqk\x1b(B", "\x1b(0lqk\x1b(B"},
		{"clipboard", "a\x1b]52;c;cm0gLXJmIC8=\x07b", "ab"},
		{"clipboard, ended by ST", "a\x1b]52;c;?\x1b\\b", "ab"},
		{"title", "\x1b]0;title\x07x\x1b]2;t\x1b\\y", "xy"},
		{"report of the title", "\x1b[21tx\x1b[20t", "x"},
		{"hyperlink", "\x1b]8;;https://evil.example\x1b\\click\x1b]8;;\x1b\\", "click"},
		{"device attributes", "\x1b[cx\x1b[>c\x1b[=c\x1bZ", "x"},
		{"status reports", "\x1b[5n\x1b[6n\x1b[?6nx", "x"},
		{"DCS, DECRQSS, sixel", "\x1bP$q\"p\x1b\\x\x1bPq#0;2;0;0;0\x1b\\y", "xy"},
		{"APC, PM, SOS", "\x1b_Gi=1\x1b\\a\x1b^pm\x1b\\b\x1bXsos\x1b\\c", "abc"},
		{"C1 controls", "a\u009d52;c;x\u009cb\u009b31mc\u0090q\u009c", "a52;c;xb31mcq"},
		{"mouse and bracketed paste", "\x1b[?1000h\x1b[?2004h\x1b[?25;1003hx", "x"},
		{"keys that answer", "\x1b[>4;1mx\x1b[?u\x1b[>1u", "x"},
		{"bell, enquiry, DEL", "a\x07b\x05c\x7fd", "abcd"},
		{"reset", "\x1bcx\x1b[!p", "x"},
		{"text turned round", "a\u202ecba\u2066", "acba"},
		{"huge repetition", "\x1b[999999999Lx\x1b[99999999999999999999b", "x"},
		{"an endless string hides nothing after it", "\x1b]0;" + strings.Repeat("a", maxText-1) + "seen", "seen"},
		{"an abandoned sequence", "\x1b[31\x18x\x1b]0;t\x1ay", "xy"},
		{"a sequence in a sequence", "\x1b[3\x1b[1mx\x1b\x1b]52;c;x\x07y", "\x1b[1mxy"},
		{"other character sets", "\x1b%Gx\x1b#8y\x1b*0z", "xyz"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := new(Safe).String(c.in); got != c.want {
				t.Errorf("%q, want %q", got, c.want)
			}
			var s Safe
			var out []byte
			for _, r := range c.in { // one by one
				out = s.Append(out, string(r))
			}
			if string(out) != c.want {
				t.Errorf("one by one: %q, want %q", out, c.want)
			}
		})
	}
}

// FuzzSafe holds that what is let through holds no sequence that is not known
// to be harmless, however it was cut, and that it is let through a second time.
func FuzzSafe(f *testing.F) {
	for _, s := range []string{"\x1b]52;c;x\x07", "\x1b[6n", "\x1bP\x1b\\", "\x1b[31m", "\u009b6n", "\x1b(0", "\x1b\x1b[c", "\x1b[?1049;6h"} {
		f.Add(s, 1)
	}
	f.Fuzz(func(t *testing.T, in string, cut int) {
		var s Safe
		at := 0
		if len(in) > 0 {
			at = max(0, cut) % len(in)
		}
		var out []byte
		if utf8.ValidString(in[:at]) {
			out = s.Append(s.Append(nil, in[:at]), in[at:])
		} else {
			out = s.Append(nil, in)
		}
		for _, bad := range []string{"\x1b]", "\x1bP", "\x1b_", "\x1b^", "\x1bX", "\x1bc", "\x07", "\x05", "\u009b", "\u009d", "\u0090"} {
			if strings.Contains(string(out), bad) {
				t.Fatalf("%q became %q", in, out)
			}
		}
		for rest := string(out); ; {
			i := strings.Index(rest, "\x1b[")
			if i < 0 {
				break
			}
			rest = rest[i+2:]
			end := strings.IndexFunc(rest, func(r rune) bool { return r >= 0x40 && r <= 0x7e })
			if end < 0 || !harmless(strings.Map(func(r rune) rune {
				if r < 0x20 {
					return -1
				}
				return r
			}, rest[:end]), rest[end]) {
				t.Fatalf("%q became %q", in, out)
			}
		}
		if again := new(Safe).String(string(out)); again != string(out) {
			t.Fatalf("%q became %q, and that %q", in, out, again)
		}
	})
}
