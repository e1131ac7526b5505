package console_test

import (
	"slices"
	"strings"
	"testing"

	"golang.org/x/net/html"
)

var void = []string{"meta", "link", "input", "br", "img", "hr"}

// checkHTML holds a page to what every page owes: balanced tags, unique ids,
// nothing inline that the policy forbids, a main landmark, one first heading,
// and a label for every field.
func checkHTML(t *testing.T, path, page string) {
	t.Helper()
	z := html.NewTokenizer(strings.NewReader(page))
	var stack []string
	ids, labelled := map[string]bool{}, map[string]bool{}
	var fields []string
	count := map[string]int{}
	for {
		kind := z.Next()
		if kind == html.ErrorToken {
			break
		}
		tok := z.Token()
		switch kind {
		case html.EndTagToken:
			if len(stack) == 0 || stack[len(stack)-1] != tok.Data {
				t.Fatalf("%s: </%s> closes %v", path, tok.Data, stack)
			}
			stack = stack[:len(stack)-1]
			continue
		case html.StartTagToken:
			if !slices.Contains(void, tok.Data) {
				stack = append(stack, tok.Data)
			}
		case html.SelfClosingTagToken:
		default:
			continue
		}
		count[tok.Data]++
		at := map[string]string{}
		for _, a := range tok.Attr {
			at[a.Key] = a.Val
			if a.Key == "style" || strings.HasPrefix(a.Key, "on") {
				t.Errorf("%s: inline %s on <%s>", path, a.Key, tok.Data)
			}
			if (a.Key == "href" || a.Key == "src" || a.Key == "action") && !strings.HasPrefix(a.Val, "/") && !strings.HasPrefix(a.Val, "#") && !(a.Key == "src" && strings.HasPrefix(a.Val, "data:image/png;base64,")) {
				t.Errorf("%s: <%s %s=%q> leads elsewhere", path, tok.Data, a.Key, a.Val)
			}
		}
		if id := at["id"]; id != "" {
			if ids[id] {
				t.Errorf("%s: id %s twice", path, id)
			}
			ids[id] = true
		}
		switch {
		case tok.Data == "label":
			labelled[at["for"]] = true
		case (tok.Data == "input" && at["type"] != "hidden" || tok.Data == "select" || tok.Data == "textarea") && at["aria-label"] == "":
			fields = append(fields, at["id"])
		case tok.Data == "script" && at["src"] == "", tok.Data == "style":
			t.Errorf("%s: inline <%s>", path, tok.Data)
		}
	}
	if len(stack) > 0 {
		t.Errorf("%s: %v not closed", path, stack)
	}
	if count["main"] != 1 || count["h1"] != 1 || count["title"] < 1 {
		t.Errorf("%s: %d main, %d h1, %d title", path, count["main"], count["h1"], count["title"])
	}
	for _, id := range fields {
		if !labelled[id] {
			t.Errorf("%s: field %q has no label", path, id)
		}
	}
}
