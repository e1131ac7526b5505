package observer

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// addIPTables takes in the output of iptables-save(8) or ip6tables-save(8).
func (r *ruleset) addIPTables(b []byte, version int) error {
	family := map[int]string{4: "ip", 6: "ip6"}[version]
	if r.chains == nil {
		r.chains = map[chainID]*chain{}
	}
	table, kind := "", ""
	var failed error
	lines(b, func(n int, line string) {
		switch {
		case failed != nil || line == "" || line[0] == '#' || line == "COMMIT":
		case line[0] == '*':
			table, kind = line[1:], line[1:]
			if slices.Contains(r.tables, family+" "+table) {
				table = "legacy-" + table // nftables has one of that name too
			}
			r.tables = append(r.tables, family+" "+table)
		case line[0] == ':':
			name, rest := cutWord(line[1:])
			policy, _ := cutWord(rest)
			c := &chain{chainID: chainID{family, table, name}, kind: kind}
			if policy != "-" {
				c.hook, c.policy = strings.ToLower(name), strings.ToLower(policy)
				// raw, mangle, nat, filter, security, as linux/netfilter_ipv4.h orders them.
				c.priority = map[string]int{"raw": -300, "mangle": -150, "nat": -100, "security": 50}[kind]
			}
			r.chains[c.chainID] = c
		default:
			if i := strings.Index(line, "-A "); i >= 0 {
				line = line[i:] // counters may stand before
			}
			words := shellWords(line)
			if len(words) < 2 || words[0] != "-A" {
				return
			}
			c := r.chains[chainID{family, table, words[1]}]
			if c == nil {
				failed = fmt.Errorf("iptables rules are not understood: line %d is in an unknown chain", n)
				return
			}
			if r.count++; r.count > maxRules {
				failed = errors.New("there are more iptables rules than can be looked at")
				return
			}
			c.rules = append(c.rules, r.iptablesRule(c, words[2:]))
		}
	})
	r.finish()
	return failed
}

// iptablesRule reads the options of one rule.
func (r *ruleset) iptablesRule(c *chain, words []string) rule {
	out := rule{position: len(c.rules) + 1}
	negate := false
	module := ""
	for i := 0; i < len(words); i++ {
		value := ""
		if i+1 < len(words) {
			value = words[i+1]
		}
		var cond condition
		taken := 1 // words that the option takes besides itself
		switch words[i] {
		case "!":
			negate = true
			continue
		case "-j", "-g":
			r.iptablesTarget(c, &out, words[i], value)
			i++
			if out.action == divert || out.action == drop || out.action == carryOn {
				return out // what follows are options of the target
			}
			continue
		case "-m":
			module = value
			switch module {
			case "tcp", "udp", "comment", "conntrack", "state", "multiport", "set", "addrtype":
			default:
				field := fieldUnknown
				if sometimes(module) {
					field = fieldSometimes
				}
				out.conditions = append(out.conditions, condition{field: field})
			}
			i++
			continue
		case "-p":
			cond = condition{field: fieldProtocol, values: protocols([]string{value})}
			if value == "all" || value == "0" {
				i++
				continue
			}
		case "-s":
			cond = iptablesSource(value)
		case "-i":
			cond = condition{field: fieldInterface, values: []string{strings.TrimSuffix(value, "+")}}
		case "--dport", "--dports", "--destination-port", "--destination-ports":
			cond = condition{field: fieldUnknown}
			if ports, ok := iptablesPorts(value); ok {
				cond = condition{field: fieldPort, ports: ports}
			}
		case "--sport", "--sports", "--source-port":
			cond = condition{field: fieldSometimes}
		case "--ctstate", "--state":
			cond = condition{field: fieldState, values: strings.Split(strings.ToLower(value), ",")}
		case "--match-set":
			taken = 2
			cond = condition{field: fieldUnknown}
			if i+2 < len(words) && words[i+2] == "src" {
				cond = condition{field: fieldSource, name: "set " + value}
			}
		case "--dst-type":
			cond = condition{field: fieldSometimes}
			if value == "LOCAL" && !negate {
				i, negate = i+1, false
				continue
			}
		case "--comment":
			i++
			continue
		case "--syn":
			taken = 0
			cond = condition{field: fieldState, values: []string{"new"}}
		case "--tcp-flags":
			taken = 2
			cond = condition{field: fieldState, values: []string{"new"}, negate: i+2 >= len(words) || !openingFlags(value, words[i+2])}
		case "-d":
			cond = destination(iptablesSource(value).prefixes)
		case "-o", "--icmp-type", "--icmpv6-type":
			cond = condition{field: fieldUnknown}
		default:
			if !strings.HasPrefix(words[i], "-") || sometimes(module) {
				continue // a value, or an option of a match that holds sometimes whatever its options
			}
			taken = 0
			cond = condition{field: fieldUnknown}
		}
		cond.negate = cond.negate != negate
		negate = false
		out.conditions = append(out.conditions, cond)
		i += taken
	}
	return out
}

// sometimes reports matches that hold for a part of the packets of one kind.
func sometimes(module string) bool {
	switch module {
	case "limit", "hashlimit", "recent", "connlimit", "quota", "statistic":
		return true
	}
	return false
}

// openingFlags reports whether the first packet of a TCP connection, which has
// SYN alone set, matches a mask and the flags that must be set among it.
func openingFlags(mask, set string) bool {
	masked := mask == "ALL" || slices.Contains(strings.Split(mask, ","), "SYN")
	return masked && set == "SYN" || !masked && set == "NONE"
}

func (r *ruleset) iptablesTarget(c *chain, out *rule, option, target string) {
	switch target {
	case "ACCEPT":
		out.action = accept
	case "DROP", "REJECT", "TARPIT":
		out.action = drop
	case "RETURN":
		out.action = giveUp
	case "DNAT", "REDIRECT", "TPROXY", "QUEUE", "NFQUEUE":
		out.action = divert
	default:
		if _, ok := r.chains[chainID{c.family, c.table, target}]; ok {
			out.action, out.target = jump, target
			if option == "-g" {
				out.action = goTo
			}
		}
	}
}

func iptablesSource(value string) condition {
	c := condition{field: fieldSource, name: value}
	for s := range strings.SplitSeq(value, ",") {
		if p, err := netip.ParsePrefix(s); err == nil {
			c.prefixes = append(c.prefixes, p)
		} else if a, err := netip.ParseAddr(s); err == nil {
			c.prefixes = append(c.prefixes, netip.PrefixFrom(a, a.BitLen()))
		}
	}
	return c
}

// iptablesPorts parses "22", "1000:2000" and lists of them.
func iptablesPorts(value string) ([]portRange, bool) {
	var out []portRange
	for s := range strings.SplitSeq(value, ",") {
		from, to, ok := strings.Cut(s, ":")
		if !ok {
			to = from
		}
		a, err1 := portNumber(from)
		b, err2 := portNumber(to)
		if err1 != nil || err2 != nil || a > b {
			return nil, false
		}
		out = append(out, portRange{a, b})
	}
	return out, true
}

// shellWords splits at blanks and honours double quotes, as iptables-save writes them.
func shellWords(s string) []string {
	var out []string
	var word strings.Builder
	quoted, open := false, false
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '\\' && quoted && i+1 < len(s):
			i++
			word.WriteByte(s[i])
		case c == '"':
			quoted, open = !quoted, true
		case (c == ' ' || c == '\t') && !quoted:
			if open {
				out = append(out, word.String())
			}
			word.Reset()
			open = false
		default:
			word.WriteByte(c)
			open = true
		}
	}
	if open {
		out = append(out, word.String())
	}
	return slices.Clip(out)
}
