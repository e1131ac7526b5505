package cli

import (
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/rivo/uniseg"
)

func TestWrap(t *testing.T) {
	for _, tt := range []struct {
		text  string
		width int
		want  []string
	}{
		{"", 5, []string{""}},
		{"a bb ccc", 5, []string{"a bb", "ccc"}},
		{"abcdefgh ij", 3, []string{"abc", "def", "gh", "ij"}},
		{"伺服器 ok", 4, []string{"伺服", "器", "ok"}},
		{"伺", 1, []string{"伺"}},
		{"e\u0301e\u0301e\u0301", 2, []string{"e\u0301e\u0301", "e\u0301"}},
	} {
		if got := wrap(tt.text, tt.width); !slices.Equal(got, tt.want) {
			t.Errorf("wrap(%q, %d) = %q, want %q", tt.text, tt.width, got, tt.want)
		}
	}
}

func TestClip(t *testing.T) {
	for _, tt := range []struct {
		text  string
		width int
		want  string
	}{
		{"abc", 3, "abc"},
		{"abcd", 3, "ab…"},
		{"伺服器", 5, "伺服…"},
		{"👩‍👩‍👧‍👦 family", 4, "👩‍👩‍👧‍👦 …"},
	} {
		if got := clip(tt.text, tt.width); got != tt.want {
			t.Errorf("clip(%q, %d) = %q, want %q", tt.text, tt.width, got, tt.want)
		}
	}
}

// What others wrote can neither move the cursor nor turn text around.
func TestClean(t *testing.T) {
	for in, want := range map[string]string{
		"plain":              "plain",
		"a\nb\tc\r":          "a b c ",
		"\x1b[2Jgone\x07":    "\uFFFD[2Jgone\uFFFD",
		"\u009b31m":          "\uFFFD31m",
		"safe\u202etxt.exe":  "safe\uFFFDtxt.exe",
		"bad \xff utf":       "bad \uFFFD utf",
		"line\u2028separate": "line\uFFFDseparate",
	} {
		if got := clean(in); got != want {
			t.Errorf("clean(%q) = %q, want %q", in, got, want)
		}
	}
}

func TestNatural(t *testing.T) {
	list := []string{"CLD.13.1.4", "CLD.6.3.1/P-1", "CLD.6.3.1", "CLD.06.3.0", "CLD", "A.18"}
	slices.SortFunc(list, natural)
	want := []string{"A.18", "CLD", "CLD.06.3.0", "CLD.6.3.1", "CLD.6.3.1/P-1", "CLD.13.1.4"}
	if !slices.Equal(list, want) {
		t.Errorf("got %q", list)
	}
}

func FuzzText(f *testing.F) {
	f.Add("a reason in words", uint8(7))
	f.Add("伺服器 e\u0301\u0301 👩‍👩‍👧‍👦\x1b[0m\u202e", uint8(1))
	f.Fuzz(func(t *testing.T, raw string, w uint8) {
		width := int(w)%60 + 2
		text := clean(raw)
		if !utf8.ValidString(text) || strings.ContainsAny(text, "\x1b\n\r\u202e") {
			t.Fatalf("clean left %q", text)
		}
		if c := clip(text, width); uniseg.StringWidth(c) > width {
			t.Errorf("clip(%q, %d) is %d wide", text, width, uniseg.StringWidth(c))
		}
		lines := wrap(text, width)
		for _, l := range lines {
			if n := uniseg.StringWidth(l); n > width && uniseg.GraphemeClusterCount(l) > 1 {
				t.Errorf("wrap(%q, %d) has a line of %d", text, width, n)
			}
		}
		squeeze := func(s string) string { return strings.Join(strings.Fields(s), "") }
		if got := squeeze(strings.Join(lines, "")); got != squeeze(text) {
			t.Errorf("wrap(%q) lost text: %q", text, got)
		}
	})
}
