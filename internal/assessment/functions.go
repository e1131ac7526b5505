package assessment

import (
	"net/netip"
	"path"
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
//	undeclared(list<string>, list<string>) list   items of the first that are none of the second,
//	                                              where "tcp/22" of the second stands for "tcp/22:sshd" too
//	common(list<string>, list<string>) list       items of the first that the second has as well, each once
//	beginsWith(string, list<string>) bool         the text begins with one of the list
//	inNetworks(list<string>, list<string>) list   addresses or prefixes of the first that lie in one of the second
//	notInNetworks(list<string>, list<string>) list  the others of the first
//	notEncrypted(paths, encrypted, plain) list    paths that do not lie on one of the encrypted directories,
//	                                              or lie on a plain mount further down
func functions() []cel.EnvOption {
	names := cel.ListType(cel.StringType)
	unary := func(name string, f func([]string) ref.Val) cel.EnvOption {
		return cel.Function(name, cel.Overload(name+"_list", []*cel.Type{names}, cel.StringType,
			cel.UnaryBinding(func(v ref.Val) ref.Val { return f(texts(v)) })))
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
		lists("undeclared", undeclared),
		lists("common", common),
		lists("inNetworks", func(addresses, networks []string) []string { return inNetworks(addresses, networks, true) }),
		lists("notInNetworks", func(addresses, networks []string) []string { return inNetworks(addresses, networks, false) }),
		cel.Function("beginsWith", cel.Overload("beginsWith_string_list", []*cel.Type{cel.StringType, names}, cel.BoolType,
			cel.BinaryBinding(func(s, with ref.Val) ref.Val {
				return types.Bool(slices.ContainsFunc(texts(with), func(w string) bool { return strings.HasPrefix(text(s), w) }))
			}))),
		cel.Function("notEncrypted", cel.Overload("notEncrypted_list_list_list", []*cel.Type{names, names, names}, names,
			cel.FunctionBinding(func(args ...ref.Val) ref.Val {
				return types.NewStringList(types.DefaultTypeAdapter, notEncrypted(texts(args[0]), texts(args[1]), texts(args[2])))
			}))),
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

func set(items []string) map[string]bool {
	m := make(map[string]bool, len(items))
	for _, s := range items {
		m[s] = true
	}
	return m
}

func undeclared(seen, declared []string) []string {
	known := set(declared)
	out := []string{}
	for _, s := range seen {
		general, _, _ := strings.Cut(s, ":")
		if !known[s] && !known[general] {
			out = append(out, s)
		}
	}
	return out
}

func common(seen, others []string) []string {
	left := set(others)
	out := []string{}
	for _, s := range seen {
		if left[s] {
			left[s] = false
			out = append(out, s)
		}
	}
	return out
}

// inNetworks keeps the addresses that lie in one of the networks, or those
// that do not. What is no address lies in none.
func inNetworks(addresses, networks []string, want bool) []string {
	var nets []netip.Prefix
	for _, n := range networks {
		if p, ok := prefix(n); ok {
			nets = append(nets, p)
		}
	}
	out := []string{}
	for _, a := range addresses {
		inner, ok := prefix(a)
		in := ok && slices.ContainsFunc(nets, func(outer netip.Prefix) bool {
			return outer.Bits() <= inner.Bits() && outer.Contains(inner.Addr())
		})
		if in == want {
			out = append(out, a)
		}
	}
	return out
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

// notEncrypted walks up from each path to the first directory that is known.
// A path that is not absolute lies nowhere.
func notEncrypted(paths, encrypted, plain []string) []string {
	state := map[string]bool{}
	for _, p := range plain {
		state[path.Clean(p)] = false
	}
	for _, e := range encrypted {
		state[path.Clean(e)] = true
	}
	out := []string{}
	for _, p := range paths {
		ok, known := false, false
		for dir := path.Clean(p); path.IsAbs(dir); dir = path.Dir(dir) {
			if ok, known = state[dir]; known || dir == "/" {
				break
			}
		}
		if !ok {
			out = append(out, p)
		}
	}
	return out
}
