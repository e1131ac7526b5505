package observer

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
)

// match turns {"op","left","right"} into conditions.
func (n *nftParser) match(c *chain, raw json.RawMessage) []condition {
	var m struct {
		Op          string
		Left, Right json.RawMessage
	}
	if json.Unmarshal(raw, &m) != nil {
		return []condition{{field: fieldUnknown}}
	}
	values, whole := n.values(c, m.Right, 0)
	out := n.compare(m.Left, values, text(m.Right), whole)
	switch m.Op {
	case "==", "in", "":
	case "!=":
		// Only the last condition is what the rule speaks of; the others are implied.
		if last := &out[len(out)-1]; last.field != fieldUnknown {
			last.negate = true
		}
	case "<", ">", "<=", ">=":
		return order(out, m.Op)
	default:
		return []condition{{field: fieldUnknown}}
	}
	return out
}

// order turns a comparison of ports into a range; others are not modelled.
func order(out []condition, op string) []condition {
	last := &out[len(out)-1]
	if last.field != fieldPort || len(last.ports) != 1 {
		return []condition{{field: fieldUnknown}}
	}
	at := last.ports[0].from
	last.ports[0] = map[string]portRange{"<": {0, at - 1}, "<=": {0, at}, ">": {at + 1, 65535}, ">=": {at, 65535}}[op]
	return out
}

// compare makes conditions of "left is one of values".
func (n *nftParser) compare(left json.RawMessage, values []json.RawMessage, name string, whole bool) []condition {
	unknown := []condition{{field: fieldUnknown}}
	var l struct {
		Payload *struct{ Protocol, Field string }
		Meta    *struct{ Key string }
		CT      *struct{ Key string }
		Fib     *struct{ Result string }
	}
	if json.Unmarshal(left, &l) != nil || !whole {
		return unknown
	}
	words := make([]string, 0, len(values))
	for _, v := range values {
		words = append(words, text(v))
	}
	switch {
	case l.Payload != nil:
		return payload(l.Payload.Protocol, l.Payload.Field, values, words, name)
	case l.Meta != nil:
		switch l.Meta.Key {
		case "l4proto":
			return []condition{{field: fieldProtocol, values: protocols(words)}}
		case "nfproto", "protocol":
			return []condition{{field: fieldFamily, values: families(words)}}
		case "iif", "iifname":
			return []condition{{field: fieldInterface, values: words}}
		case "pkttype":
			return []condition{{field: fieldSometimes}}
		}
	case l.CT != nil:
		switch l.CT.Key {
		case "state":
			return []condition{{field: fieldState, values: words}}
		case "status": // a first packet has none of these marks; one that was passed on is judged there
			return []condition{{field: fieldState, values: []string{"marked"}}}
		case "direction":
			if contains(words, "original") {
				return []condition{{field: fieldState, values: []string{"new", "established"}}}
			}
			return []condition{{field: fieldState, values: []string{"reply"}}}
		}
	case l.Fib != nil && l.Fib.Result == "type" && contains(words, "local"):
		return []condition{{field: fieldProtocol, values: []string{"tcp", "udp"}}} // holds for what is sent to this machine
	case l.Fib != nil: // checks of the way back, which forged sources fail
		return []condition{{field: fieldSometimes}}
	}
	return unknown
}

func payload(protocol, field string, values []json.RawMessage, words []string, name string) []condition {
	switch protocol {
	case "tcp", "udp", "th":
		var out []condition
		if protocol != "th" {
			out = append(out, condition{field: fieldProtocol, values: []string{protocol}})
		}
		switch field {
		case "dport":
			ports, ok := portRanges(values)
			if !ok {
				return append(out, condition{field: fieldUnknown})
			}
			return append(out, condition{field: fieldPort, ports: ports})
		case "sport": // whoever sends chooses it
			return append(out, condition{field: fieldSometimes})
		}
		return append(out, condition{field: fieldUnknown})
	case "ip", "ip6":
		version := condition{field: fieldFamily, values: []string{map[string]string{"ip": "4", "ip6": "6"}[protocol]}}
		switch field {
		case "saddr":
			return []condition{version, sourceOf(values, name)}
		case "protocol", "nexthdr":
			return []condition{version, {field: fieldProtocol, values: protocols(words)}}
		case "daddr":
			return []condition{version, destination(sourceOf(values, name).prefixes)}
		}
		return []condition{version, {field: fieldUnknown}}
	case "icmp", "icmpv6", "sctp", "dccp", "udplite", "esp", "ah", "arp", "ether":
		if protocol == "arp" || protocol == "ether" {
			return []condition{{field: fieldUnknown}}
		}
		return []condition{{field: fieldProtocol, values: []string{protocol}}}
	}
	return []condition{{field: fieldUnknown}}
}

// values resolves the right side to its elements: of a literal set, a range, a
// prefix, a flag list or a named set. whole is false if some are not known.
func (n *nftParser) values(c *chain, raw json.RawMessage, depth int) (out []json.RawMessage, whole bool) {
	if depth > 4 {
		return nil, false
	}
	var list []json.RawMessage
	if json.Unmarshal(raw, &list) == nil {
		return list[:min(len(list), maxElements)], true
	}
	var o struct {
		Set  json.RawMessage
		Elem *struct{ Val json.RawMessage }
	}
	if s := text(raw); strings.HasPrefix(s, "@") {
		set := n.sets[chainID{c.family, c.table, s[1:]}]
		for _, e := range set.elements {
			vs, _ := n.values(c, e, depth+1)
			out = append(out, vs...)
		}
		return out, true
	}
	if json.Unmarshal(raw, &o) == nil {
		switch {
		case o.Elem != nil:
			return n.values(c, o.Elem.Val, depth+1)
		case o.Set != nil:
			var members []json.RawMessage
			if json.Unmarshal(o.Set, &members) != nil {
				return n.values(c, o.Set, depth+1)
			}
			for _, m := range members[:min(len(members), maxElements)] {
				vs, ok := n.values(c, m, depth+1)
				if !ok {
					return nil, false
				}
				out = append(out, vs...)
			}
			return out, true
		}
	}
	return []json.RawMessage{raw}, true
}

// text is a JSON string, or the literal text of a number.
func text(raw json.RawMessage) string {
	var s string
	if json.Unmarshal(raw, &s) == nil {
		return s
	}
	if len(raw) < 64 {
		return string(raw)
	}
	return ""
}

func portRanges(values []json.RawMessage) ([]portRange, bool) {
	var out []portRange
	for _, v := range values {
		var o struct{ Range []json.RawMessage }
		from, to := text(v), text(v)
		if json.Unmarshal(v, &o) == nil && len(o.Range) == 2 {
			from, to = text(o.Range[0]), text(o.Range[1])
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

// portNumber parses a port; nft prints numbers with -j.
func portNumber(s string) (int, error) {
	n, err := strconv.ParseUint(s, 10, 16)
	return int(n), err
}

// sourceOf is a condition on the source address. A named set keeps its name.
func sourceOf(values []json.RawMessage, name string) condition {
	c := condition{field: fieldSource, name: name}
	if !strings.HasPrefix(name, "@") {
		c.name = label(values)
	}
	for _, v := range values {
		if p, ok := prefixOf(v); ok {
			c.prefixes = append(c.prefixes, p)
		}
	}
	return c
}

// destination is a condition on the destination address. Loopback addresses are
// reached from the machine itself only, and some packets are sent to
// multicast addresses; whether another is an address of this machine is not
// looked up.
func destination(prefixes []netip.Prefix) condition {
	loopback, multicast := len(prefixes) > 0, len(prefixes) > 0
	for _, p := range prefixes {
		loopback = loopback && p.Addr().IsLoopback()
		multicast = multicast && (p.Addr().IsMulticast() || p.Addr() == netip.AddrFrom4([4]byte{255, 255, 255, 255}))
	}
	switch {
	case loopback:
		return condition{field: fieldInterface, values: []string{"lo"}}
	case multicast:
		return condition{field: fieldSometimes}
	}
	return condition{field: fieldUnknown}
}

// label names a list of addresses.
func label(values []json.RawMessage) string {
	var out []string
	for _, v := range values[:min(len(values), 4)] {
		out = append(out, addressText(v))
	}
	if len(values) > 4 {
		out = append(out, fmt.Sprintf("and %d more", len(values)-4))
	}
	return strings.Join(out, " ")
}

func addressText(v json.RawMessage) string {
	var o struct {
		Prefix *struct {
			Addr string
			Len  int
		}
		Range []json.RawMessage
	}
	if json.Unmarshal(v, &o) == nil {
		switch {
		case o.Prefix != nil:
			return fmt.Sprintf("%s/%d", o.Prefix.Addr, o.Prefix.Len)
		case len(o.Range) == 2:
			return text(o.Range[0]) + "-" + text(o.Range[1])
		}
	}
	if s := text(v); s != "" {
		return s
	}
	return "unknown"
}

func prefixOf(v json.RawMessage) (netip.Prefix, bool) {
	s := addressText(v)
	if p, err := netip.ParsePrefix(s); err == nil {
		return p, true
	}
	if a, err := netip.ParseAddr(s); err == nil {
		return netip.PrefixFrom(a, a.BitLen()), true
	}
	return netip.Prefix{}, false
}

// protocols names protocols that are given by number.
func protocols(words []string) []string {
	out := make([]string, len(words))
	for i, w := range words {
		switch out[i] = w; w {
		case "6":
			out[i] = "tcp"
		case "17":
			out[i] = "udp"
		}
	}
	return out
}

func families(words []string) []string {
	var out []string
	for _, w := range words {
		switch w {
		case "ipv4", "ip", "2", "0x0800":
			out = append(out, "4")
		case "ipv6", "ip6", "10", "0x86dd":
			out = append(out, "6")
		}
	}
	return out
}
