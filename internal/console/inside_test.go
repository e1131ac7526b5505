package console

import (
	"encoding/json"
	"fmt"
	"go/parser"
	"go/token"
	"io/fs"
	"math"
	"net/url"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/demarc/demarc/api"
)

// FuzzLocalPath asserts that no path to go back to leads to another host, as
// browsers resolve it.
func FuzzLocalPath(f *testing.F) {
	for _, s := range []string{"/", "//evil.example", `/\evil.example`, "/a?b=//c", "https://evil.example", "/%2f/evil", "/\t//evil", "/tenants/x#y"} {
		f.Add(s)
	}
	base, err := url.Parse("https://console.example/login")
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got := localPath(s)
		if strings.ContainsAny(got, "\\\t\r\n") || !strings.HasPrefix(got, "/") {
			t.Fatalf("%q gives %q", s, got)
		}
		u, err := base.Parse(got)
		if err != nil || u.Host != base.Host || u.Scheme != base.Scheme {
			t.Fatalf("%q gives %q, which leads to %v (%v)", s, got, u, err)
		}
	})
}

// FuzzFacts asserts that a fact of any form leaves its page standing.
func FuzzFacts(f *testing.F) {
	for _, s := range []string{`{}`, `[]`, `null`, `{"services":null}`, `{"results":[{"severity":"?"}]}`, `{"cpus":1e999}`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		k := know([]api.Fact{
			{Kind: "hardening.result", Data: json.RawMessage(s)}, {Kind: "agent.state", Data: json.RawMessage(s)},
			{Kind: "host.users", Data: json.RawMessage(s)}, {Kind: "host.resources", Data: json.RawMessage(s)},
		})
		if k.Hardening != nil {
			k.Hardening.FailedRules()
			b := bar(k.Hardening.Counts())
			for _, seg := range b.Segments {
				if math.IsNaN(seg.Width) {
					t.Fatalf("%s gives %+v", s, b)
				}
			}
		}
		if k.Agent != nil && k.Agent.Watched()[0] > k.Agent.Watched()[1] {
			t.Fatal("more is watched than there is")
		}
	})
}

// TestImports holds the console to the API: whoever imports a use-case here
// goes around the authorization that command line and console share.
func TestImports(t *testing.T) {
	entries, err := os.ReadDir(".")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if !strings.HasSuffix(e.Name(), ".go") || strings.HasSuffix(e.Name(), "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), e.Name(), nil, parser.ImportsOnly)
		if err != nil {
			t.Fatal(err)
		}
		for _, i := range file.Imports {
			p, _ := strconv.Unquote(i.Path.Value)
			if strings.Contains(p, ".") && p != "github.com/demarc/demarc/api" {
				t.Errorf("%s imports %s", e.Name(), p)
			}
		}
	}
}

// TestContrast computes WCAG 2.2 contrast (success criterion 1.4.3, level AA)
// of every text colour on the grounds that it is used on.
func TestContrast(t *testing.T) {
	css, err := fs.ReadFile(files, "static/console.css")
	if err != nil {
		t.Fatal(err)
	}
	light, rest, _ := strings.Cut(string(css), "@media (prefers-color-scheme: dark)")
	dark, _, _ := strings.Cut(rest, "* {")
	for scheme, text := range map[string]string{"light": light, "dark": dark} {
		color := map[string]string{}
		for _, m := range regexp.MustCompile(`--([a-z-]+): #([0-9a-f]{3,6})`).FindAllStringSubmatch(text, -1) {
			color[m[1]] = m[2]
		}
		pairs := [][2]string{{"on-accent", "accent"}, {"on-accent", "met"}, {"on-accent", "not-met"}, {"text", "flash"}, {"text", "not-met-bg"}, {"muted", "not-met-bg"}}
		for _, word := range []string{"met", "not-met", "unknown", "waived", "na"} {
			pairs = append(pairs, [2]string{word, word + "-bg"}, [2]string{word, "surface"}, [2]string{word, "bg"})
		}
		for _, word := range []string{"text", "muted", "accent", "customer", "provider"} {
			pairs = append(pairs, [2]string{word, "bg"}, [2]string{word, "surface"})
		}
		for _, p := range pairs {
			if color[p[0]] == "" || color[p[1]] == "" {
				t.Fatalf("%s: no colour %v", scheme, p)
			}
			if got := contrast(color[p[0]], color[p[1]]); got < 4.5 {
				t.Errorf("%s: %s on %s has %.2f, below 4.5", scheme, p[0], p[1], got)
			}
		}
	}
}

func contrast(a, b string) float64 {
	x, y := luminance(a), luminance(b)
	return (max(x, y) + 0.05) / (min(x, y) + 0.05)
}

func luminance(hex string) float64 {
	if len(hex) == 3 {
		hex = fmt.Sprintf("%c%c%c%c%c%c", hex[0], hex[0], hex[1], hex[1], hex[2], hex[2])
	}
	n, _ := strconv.ParseUint(hex, 16, 32)
	out := 0.0
	for i, weight := range []float64{0.0722, 0.7152, 0.2126} {
		c := float64(n>>(8*i)&0xff) / 255
		if c <= 0.04045 {
			c /= 12.92
		} else {
			c = math.Pow((c+0.055)/1.055, 2.4)
		}
		out += weight * c
	}
	return out
}
