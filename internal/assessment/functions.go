package assessment

import (
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/common/types/traits"
)

// maxListed is how many items a message names before it counts the rest.
const maxListed = 5

// functions are what expressions can use besides the standard library. They
// are total: whatever the facts are, they give a value.
//
//	listed(list<string>) string                   "a, b and c"; after five "and 7 more"
//	reasons(list<string>) string                  the non-empty ones, joined by "; "
//	counted(int, string) string                   "1 update", "3 updates"
//	outside(list<string>, list<string>) list      items of the first that are none of the second,
//	                                              where "tcp/22" of the second stands for "tcp/22:sshd" too
//	common(list<string>, list<string>) list       items of the first that the second has as well, each once
//	begins(string, list<string>) bool             the text begins with one of the list
//	deepest(string, list<string>) string          the longest directory of the list that is or holds the path, or ""
//	within(string, list<string>) bool             the address or prefix lies in one of the addresses or prefixes
func functions() []cel.EnvOption {
	names := cel.ListType(cel.StringType)
	unary := func(name string, f func([]string) ref.Val) cel.EnvOption {
		return cel.Function(name, cel.Overload(name+"_list", []*cel.Type{names}, cel.StringType,
			cel.UnaryBinding(func(v ref.Val) ref.Val { return f(texts(v)) })))
	}
	textAndList := func(name string, out *cel.Type, f func(string, []string) ref.Val) cel.EnvOption {
		return cel.Function(name, cel.Overload(name+"_string_list", []*cel.Type{cel.StringType, names}, out,
			cel.BinaryBinding(func(a, b ref.Val) ref.Val { return f(text(a), texts(b)) })))
	}
	lists := func(name string, f func(a, b []string) []string) cel.EnvOption {
		return cel.Function(name, cel.Overload(name+"_list_list", []*cel.Type{names, names}, names,
			cel.BinaryBinding(func(a, b ref.Val) ref.Val {
				return types.NewStringList(types.DefaultTypeAdapter, f(texts(a), texts(b)))
			})))
	}
	return []cel.EnvOption{
		unary("listed", func(items []string) ref.Val { return types.String(listed(items)) }),
		unary("reasons", func(items []string) ref.Val { return types.String(reasons(items)) }),
		cel.Function("counted", cel.Overload("counted_int_string", []*cel.Type{cel.IntType, cel.StringType}, cel.StringType,
			cel.BinaryBinding(func(n, what ref.Val) ref.Val {
				i, _ := n.(types.Int)
				return types.String(counted(int64(i), text(what)))
			}))),
		lists("outside", outside),
		lists("common", common),
		textAndList("begins", cel.BoolType, func(s string, with []string) ref.Val {
			return types.Bool(slices.ContainsFunc(with, func(w string) bool { return strings.HasPrefix(s, w) }))
		}),
		textAndList("deepest", cel.StringType, func(path string, dirs []string) ref.Val { return types.String(deepest(path, dirs)) }),
		textAndList("within", cel.BoolType, func(address string, prefixes []string) ref.Val { return types.Bool(within(address, prefixes)) }),
	}
}

func text(v ref.Val) string {
	s, _ := v.(types.String)
	return string(s)
}

func texts(v ref.Val) []string {
	if v.Type() != types.ListType {
		return nil
	}
	l, ok := v.(traits.Lister)
	if !ok {
		return nil
	}
	n, _ := l.Size().(types.Int)
	out := make([]string, 0, n)
	for i := range n {
		out = append(out, text(l.Get(i)))
	}
	return out
}

func listed(items []string) string {
	if more := len(items) - maxListed; more > 0 {
		return strings.Join(items[:maxListed], ", ") + " and " + strconv.Itoa(more) + " more"
	}
	if len(items) < 2 {
		return strings.Join(items, "")
	}
	return strings.Join(items[:len(items)-1], ", ") + " and " + items[len(items)-1]
}

func reasons(items []string) string {
	var said []string
	for _, s := range items {
		if s != "" {
			said = append(said, s)
		}
	}
	return strings.Join(said, "; ")
}

func counted(n int64, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return strconv.FormatInt(n, 10) + " " + what + "s"
}

func outside(seen, declared []string) []string {
	known := make(map[string]struct{}, len(declared))
	for _, d := range declared {
		known[d] = struct{}{}
	}
	out := []string{}
	for _, s := range seen {
		if _, ok := known[s]; ok {
			continue
		}
		if general, _, ok := strings.Cut(s, ":"); ok {
			if _, ok := known[general]; ok {
				continue
			}
		}
		out = append(out, s)
	}
	return out
}

func common(seen, others []string) []string {
	out := []string{}
	for _, s := range seen {
		if slices.Contains(others, s) && !slices.Contains(out, s) {
			out = append(out, s)
		}
	}
	return out
}

func deepest(path string, dirs []string) string {
	best := ""
	for _, dir := range dirs {
		holds := path == dir || dir == "/" || strings.HasPrefix(path, strings.TrimSuffix(dir, "/")+"/")
		if holds && len(dir) > len(best) {
			best = dir
		}
	}
	return best
}

func within(address string, prefixes []string) bool {
	inner, ok := prefix(address)
	if !ok {
		return false
	}
	for _, p := range prefixes {
		if outer, ok := prefix(p); ok && outer.Bits() <= inner.Bits() && outer.Contains(inner.Addr()) {
			return true
		}
	}
	return false
}

// prefix reads an address or a prefix; an IPv4 address in IPv6 form counts as IPv4.
func prefix(s string) (netip.Prefix, bool) {
	if a, err := netip.ParseAddr(s); err == nil {
		a = a.Unmap().WithZone("")
		return netip.PrefixFrom(a, a.BitLen()), true
	}
	p, err := netip.ParsePrefix(s)
	return p.Masked(), err == nil
}
