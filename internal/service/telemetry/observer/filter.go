package observer

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// ruleset is what the kernel filters by, in a form that nftables and iptables share.
type ruleset struct {
	backend string
	tables  []string
	chains  map[chainID]*chain
	count   int
	order   []*chain // the base chains in the order in which packets meet them
	// opaque are the tables (with an empty chain name) that hold matches of
	// iptables whose arguments nft does not print.
	opaque map[chainID]bool
	// unread says what could not be read, "" if all was.
	unread string
}

type chainID struct{ family, table, name string }

// chain is a list of rules. One with a hook is a base chain: packets enter it there.
type chain struct {
	chainID
	kind     string // filter, nat, route
	hook     string
	priority int
	policy   string
	rules    []rule
}

// rule does something with the packets that meet all of its conditions.
type rule struct {
	position   int // from 1
	conditions []condition
	action     action
	target     string // of a jump or goto
	choices    []choice
}

// choice is an element of a verdict map.
type choice struct {
	conditions []condition
	action     action
	target     string
}

type action string

const (
	carryOn action = ""
	accept  action = "accept"
	drop    action = "drop" // and reject
	jump    action = "jump"
	goTo    action = "goto"
	giveUp  action = "return"
	divert  action = "divert" // dnat, redirect, tproxy, queue: somebody else decides
	choose  action = "vmap"
)

// condition limits a rule to some packets.
type condition struct {
	field  string // protocol, port, source, interface, state, family, or one of those below
	negate bool
	ports  []portRange
	values []string
	// prefixes are the addresses of a source; name is how people know them.
	prefixes []netip.Prefix
	name     string
	// everyone and loopback say what the prefixes amount to; finish sets them.
	everyone, loopback bool
}

const (
	fieldProtocol  = "protocol"
	fieldPort      = "port"
	fieldSource    = "source"
	fieldInterface = "interface"
	fieldState     = "state"
	fieldFamily    = "family"
	// fieldSometimes holds for some of the packets that an attacker can send,
	// such as those below a rate or from a source port of their choice.
	fieldSometimes = "sometimes"
	// fieldUnknown is a condition that is not modelled.
	fieldUnknown = "unknown"
)

type portRange struct{ from, to int }

func (r portRange) String() string {
	switch {
	case r.from == 0 && r.to == 65535:
		return "any"
	case r.from == r.to:
		return fmt.Sprint(r.from)
	}
	return fmt.Sprintf("%d-%d", r.from, r.to)
}

// finish puts the base chains in order and sums up sources; it is called after
// parsing.
func (r *ruleset) finish() {
	r.order = nil
	for _, c := range r.chains {
		for i := range c.rules {
			sumUp(c.rules[i].conditions)
			for j := range c.rules[i].choices {
				sumUp(c.rules[i].choices[j].conditions)
			}
		}
	}
	for _, c := range r.chains {
		if c.hook != "" {
			r.order = append(r.order, c)
		}
	}
	slices.SortFunc(r.order, func(a, b *chain) int {
		return cmp.Or(cmp.Compare(hookOrder(a.hook), hookOrder(b.hook)), cmp.Compare(a.priority, b.priority),
			strings.Compare(a.family, b.family), strings.Compare(a.table, b.table), strings.Compare(a.name, b.name))
	})
}

func sumUp(conditions []condition) {
	for i := range conditions {
		c := &conditions[i]
		if c.field != fieldSource || len(c.prefixes) == 0 {
			continue
		}
		c.loopback = true
		for _, p := range c.prefixes {
			c.everyone = c.everyone || p.Bits() == 0
			c.loopback = c.loopback && p.Addr().IsLoopback()
		}
		c.prefixes = nil // a list may have thousands
	}
}

func hookOrder(hook string) int {
	return slices.Index([]string{"ingress", "prerouting", "input", "forward", "output", "postrouting"}, hook)
}

// sees reports whether chains of a family see packets of an IP version.
func sees(family string, version int) bool {
	switch family {
	case "inet":
		return true
	case "ip":
		return version == 4
	case "ip6":
		return version == 6
	}
	return false
}

// policy tells what happens on a hook to packets that no rule decides: drop if
// any base chain drops by policy or by an unconditional last rule.
func (r *ruleset) policy(hook string, version int) string {
	result := "none"
	for _, c := range r.order {
		if c.hook != hook || !sees(c.family, version) || c.kind == "nat" {
			continue
		}
		if result == "none" {
			result = "accept"
		}
		if c.policy == "drop" || r.endsInDrop(c, 0) {
			result = "drop"
		}
	}
	return result
}

func (r *ruleset) endsInDrop(c *chain, depth int) bool {
	if c == nil || len(c.rules) == 0 || depth > maxJumps {
		return false
	}
	last := c.rules[len(c.rules)-1]
	if len(last.conditions) > 0 {
		return false
	}
	switch last.action {
	case drop:
		return true
	case jump, goTo:
		return r.endsInDrop(r.chains[chainID{c.family, c.table, last.target}], depth+1)
	}
	return false
}

// maxBounds bounds the port ranges that are tried.
const maxBounds = 4000

// portBounds returns the first port of each range that no rule tells apart.
func (r *ruleset) portBounds() []int {
	bounds := []int{0}
	add := func(conditions []condition) {
		for _, c := range conditions {
			if c.field != fieldPort || len(bounds) > maxBounds {
				continue
			}
			for _, p := range c.ports {
				bounds = append(bounds, p.from)
				if p.to < 65535 {
					bounds = append(bounds, p.to+1)
				}
			}
		}
	}
	for _, c := range r.chains {
		for _, rule := range c.rules {
			add(rule.conditions)
			for _, ch := range rule.choices {
				add(ch.conditions)
			}
		}
	}
	return uniq(bounds)
}
