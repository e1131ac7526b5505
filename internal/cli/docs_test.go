package cli

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/alecthomas/kong"
)

// The command table of docs/cli.md is what the program knows.
func TestDocs(t *testing.T) {
	const page = "../../docs/cli.md"
	raw, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	parser, err := newParser(&commands{}, Streams{}, func(int) {})
	if err != nil {
		t.Fatal(err)
	}
	var table strings.Builder
	table.WriteString("\n| Command | What it does |\n|---|---|\n")
	rows(&table, parser.Model.Node, "demarc")

	head, rest, ok := strings.Cut(string(raw), "-update` -->\n")
	_, tail, end := strings.Cut(rest, "<!-- end of commands -->")
	if !ok || !end {
		t.Fatalf("%s has lost the comments around its table", page)
	}
	want := head + "-update` -->\n" + table.String() + "\n<!-- end of commands -->" + tail
	if want == string(raw) {
		return
	}
	if !*update {
		t.Fatalf("the table of %s is stale; run the command that stands above it", page)
	}
	if err := os.WriteFile(page, []byte(want), 0o644); err != nil {
		t.Fatal(err)
	}
}

// rows writes a line for each command that can be run.
func rows(b *strings.Builder, n *kong.Node, path string) {
	for _, c := range n.Children {
		name := path + " " + c.Name
		if len(c.Children) > 0 {
			rows(b, c, name)
			continue
		}
		for _, p := range c.Positional {
			name += " " + strings.ToUpper(p.Name)
		}
		if c.Passthrough {
			name = path + " " + c.Name + " …"
		}
		fmt.Fprintf(b, "| `%s` | %s%s |\n", name, c.Help, flagsOf(c))
	}
}

// flagsOf lists a command's own flags.
func flagsOf(n *kong.Node) string {
	var own []string
	for _, f := range n.Flags {
		if f.Name != "help" {
			own = append(own, "`--"+f.Name+"`")
		}
	}
	if len(own) == 0 {
		return ""
	}
	return " " + strings.Join(own, " ")
}

// Every command, flag and argument says what it is for.
func TestHelpIsWhole(t *testing.T) {
	parser, err := newParser(&commands{}, Streams{}, func(int) {})
	if err != nil {
		t.Fatal(err)
	}
	seen := 0
	err = kong.Visit(parser.Model, func(v kong.Visitable, next kong.Next) error {
		switch n := v.(type) {
		case *kong.Node:
			seen++
			if n.Help == "" {
				t.Errorf("%s has no help", n.FullPath())
			}
		case *kong.Flag:
			if n.Help == "" || !strings.HasSuffix(n.Help, ".") {
				t.Errorf("flag --%s has no whole sentence: %q", n.Name, n.Help)
			}
		case *kong.Positional:
			if n.Help == "" {
				t.Errorf("argument %s has no help", n.Name)
			}
		}
		return next(nil)
	})
	if err != nil {
		t.Fatal(err)
	}
	if seen < 60 {
		t.Errorf("only %d commands were looked at", seen)
	}
}
