package cli

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rivo/uniseg"
	"go.yaml.in/yaml/v3"
	"pgregory.net/rapid"
)

// A table never loses what is whole, and fits where its columns allow.
func TestLayout(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		columns := rapid.IntRange(1, 6).Draw(t, "columns")
		g := &grid{}
		least := gap * (columns - 1)
		for range columns {
			g.heads = append(g.heads, "H")
			g.fits = append(g.fits, rapid.SampledFrom([]fit{whole, cut, flow}).Draw(t, "fit"))
		}
		for range rapid.IntRange(1, 4).Draw(t, "rows") {
			row := gridRow{}
			for range columns {
				row.cells = append(row.cells, cell{text: clean(rapid.StringN(0, 40, -1).Draw(t, "text"))})
			}
			g.rows = append(g.rows, row)
		}
		for i, f := range g.fits {
			widest := 1
			for _, r := range g.rows {
				widest = max(widest, uniseg.StringWidth(r.cells[i].text))
			}
			if f != whole {
				widest = min(widest, leastCut)
			}
			least += widest
		}
		width := rapid.IntRange(leastWidth, 120).Draw(t, "width")
		sum := gap * (columns - 1)
		for _, w := range g.layout(width) {
			sum += w
		}
		if sum > max(width, least) {
			t.Fatalf("%d columns wide, %d wanted, %d at least", sum, width, least)
		}
		var b strings.Builder
		g.write(&b, width, false)
		if strings.ContainsRune(b.String(), 0x1b) {
			t.Fatal("colour where none was wanted")
		}
	})
}

func TestColour(t *testing.T) {
	g := &grid{heads: []string{"V", "D"}, fits: []fit{whole, whole}, rows: []gridRow{{cells: []cell{{"✗ not met", red}, {"x", plain}}}}}
	var b strings.Builder
	g.write(&b, 80, true)
	if want := "\x1b[31m✗ not met\x1b[0m  x\n"; !strings.HasSuffix(b.String(), want) {
		t.Errorf("got %q, want the end %q", b.String(), want)
	}
}

// YAML says the same as JSON, in the same order.
func TestYAML(t *testing.T) {
	const text = `{"z":1,"a":[],"b":{},"c":[{"x":"true","y":null,"n":-1.5e3,"big":12345678901234567890}],
		"s":"line\none","t":"2026-03-03","u":"\ud83d\ude00 \u001b \/","v":"- x: #y","w":"","on":"on","0x1":"0x1"}`
	node, err := yamlOf(json.NewDecoder(strings.NewReader(text)))
	if err != nil {
		t.Fatal(err)
	}
	raw, err := yaml.Marshal(node)
	if err != nil {
		t.Fatal(err)
	}
	var fromYAML, fromJSON map[string]any
	if err := yaml.Unmarshal(raw, &fromYAML); err != nil {
		t.Fatalf("%v in\n%s", err, raw)
	}
	if err := json.Unmarshal([]byte(text), &fromJSON); err != nil {
		t.Fatal(err)
	}
	again, err := json.Marshal(fromYAML)
	if err != nil {
		t.Fatal(err)
	}
	var back map[string]any
	if err := json.Unmarshal(again, &back); err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(back, fromJSON) {
		t.Errorf("got %v\nwant %v", back, fromJSON)
	}
	if !bytes.HasPrefix(raw, []byte("z: 1\na: []\nb: {}\n")) {
		t.Errorf("the order of keys is lost:\n%s", raw)
	}
}

type brokenPipe struct{}

func (brokenPipe) Write([]byte) (int, error) { return 0, errors.New("no space left on device") }

// Output that cannot be written is a failure, not silence.
func TestOutputThatCannotBeWritten(t *testing.T) {
	var errs strings.Builder
	code := Run(t.Context(), []string{"version"}, Streams{Out: brokenPipe{}, Err: &errs}, Programs{}, func(string) string { return "" })
	if code != ExitFailure || !strings.Contains(errs.String(), "no space left on device") {
		t.Errorf("exit %d, %q", code, errs.String())
	}
}

// A build without a part says so.
func TestMissingPrograms(t *testing.T) {
	for _, verb := range []string{"server", "up", "witness", "verify"} {
		var errs strings.Builder
		args := []string{verb}
		if verb == "verify" {
			args = append(args, "-")
		}
		code := Run(t.Context(), args, Streams{In: strings.NewReader(""), Out: io.Discard, Err: &errs}, Programs{}, func(string) string { return "" })
		if code != ExitFailure || !strings.Contains(errs.String(), verb+": this build of demarc does not have it") {
			t.Errorf("%s: exit %d, %q", verb, code, errs.String())
		}
	}
}

func TestSpinnerShowsAfterASecondAndIsWiped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out strings.Builder
		stop := spin(&out, "waiting")
		time.Sleep(900 * time.Millisecond) // the bubble's clock
		stop()
		stop()
		if out.Len() != 0 {
			t.Errorf("drew %q within a second", out.String())
		}
		stop = spin(&out, "waiting")
		time.Sleep(1500 * time.Millisecond)
		stop()
		if text := out.String(); !strings.Contains(text, "waiting, 1 s") || !strings.HasSuffix(text, "\r\x1b[K") {
			t.Errorf("drew %q", text)
		}
	})
}

func TestMoment(t *testing.T) {
	for text, want := range map[moment]string{
		"":                          "",
		"2026-03-03":                "2026-03-03T00:00:00Z",
		"2026-03-03T14:00:00+02:00": "2026-03-03T12:00:00Z",
		"30d":                       "2026-04-02T14:00:00Z",
		"12h":                       "2026-03-04T02:00:00Z",
		"0m":                        "2026-03-03T14:00:00Z",
	} {
		if got, err := text.text(instant); err != nil || got != want {
			t.Errorf("%q is %q, %v; want %q", text, got, err, want)
		}
	}
	for _, text := range []moment{"d", "-1d", "1w", "2026-13-01", "999999999d", "soon", "ü"} {
		got, err := text.at(instant)
		if code, _ := diagnose(err); err == nil || code != ExitUsage {
			t.Errorf("%q is %v, %v", text, got, err)
		}
	}
}

func FuzzMoment(f *testing.F) {
	f.Add("30d")
	f.Add("2026-03-03T14:00:00Z")
	f.Fuzz(func(t *testing.T, text string) {
		got, err := moment(text).at(instant)
		if err == nil && got != nil && got.Location() != time.UTC {
			t.Errorf("%q is in %v", text, got.Location())
		}
	})
}
