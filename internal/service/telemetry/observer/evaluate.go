package observer

import "fmt"

const (
	maxJumps = 32 // nested chains; the kernel allows 16
	// maxSteps bounds one evaluation: a rule counts as ten steps, and each port
	// range or element of a map that it compares as one.
	maxSteps = 30_000_000
)

// packet is a new or established connection from somewhere to this machine.
type packet struct {
	family   int // 4 or 6
	protocol string
	port     int
	state    string
	loopback bool
}

// evaluation follows packets through the rules. Where a condition is not
// modelled it assumes that what the rule would let in is let in, and that what
// it would keep out is not kept out, and says so in approximate.
type evaluation struct {
	rules       *ruleset
	approximate bool
	steps       int
}

// opening is traffic of one packet's kind that is let in.
type opening struct{ source, rule string }

// passage is how a chain treats a packet: any says that it lets in any source,
// by rule; limited lists the sources that it lets in otherwise.
type passage struct {
	any     bool
	rule    string
	policy  bool // any is by policy, or for want of a chain
	limited []opening
}

func (p passage) openings() []opening {
	if p.any {
		return []opening{{"any", p.rule}}
	}
	return p.limited
}

// inbound follows a packet through the hooks on its way in. It has to pass
// every base chain.
func (e *evaluation) inbound(pkt packet) passage {
	whole := passage{any: true, rule: "no rules", policy: true}
	for _, c := range e.rules.order {
		if c.hook != "prerouting" && c.hook != "input" || !sees(c.family, pkt.family) {
			continue
		}
		w := walkState{e: e, pkt: pkt}
		if end := w.chain(c, "", 0); end == undecided {
			if c.policy == "drop" {
				w.result.any = false
			} else {
				w.accept("", c.String()+" policy", true)
			}
		}
		if w.diverted != "" && pkt.state == "new" {
			// Another program or machine answers; the filters behind it are not followed.
			e.approximate = true
			return passage{any: true, rule: w.diverted}
		}
		if c.kind == "nat" {
			continue
		}
		whole = both(whole, w.result)
		if !whole.any && len(whole.limited) == 0 {
			return whole
		}
	}
	return whole
}

// both is what passes two chains. A rule says more than a policy.
func both(a, b passage) passage {
	switch {
	case a.any && b.any:
		if b.policy && !a.policy {
			return a
		}
		return b
	case a.any:
		return b
	case b.any:
		return a
	}
	// The sources that the later chain lets in; which of them the earlier one
	// also does is not worked out.
	if len(a.limited) == 0 {
		return a
	}
	return b
}

func (c *chain) String() string { return c.family + " " + c.table + " " + c.name }

// where names a rule for people.
func (c *chain) where(r rule) string { return fmt.Sprintf("%s rule %d", c, r.position) }

// ending says how the walk of a chain ended.
type ending int

const (
	undecided ending = iota // it fell through or returned
	decided                 // every packet of this kind met a verdict
)

type walkState struct {
	e        *evaluation
	pkt      packet
	result   passage
	diverted string
}

// accept notes that packets from source are let in; "" stands for any.
func (w *walkState) accept(source, rule string, policy bool) {
	if source == "" {
		w.result.any, w.result.rule, w.result.policy = true, rule, policy
		return
	}
	if len(w.result.limited) < 200 {
		w.result.limited = append(w.result.limited, opening{source, rule})
	}
}

// chain walks the rules of c. source limits the walk to packets from there.
func (w *walkState) chain(c *chain, source string, depth int) ending {
	if c == nil || depth > maxJumps {
		w.e.approximate = true
		return undecided
	}
	for _, r := range c.rules {
		if w.e.steps += 10 + len(r.choices); w.e.steps > maxSteps {
			w.e.approximate = true
			w.accept(source, "too many rules to follow", false)
			return decided
		}
		m := w.match(r.conditions, r.action)
		if !m.holds {
			continue
		}
		if r.action != choose {
			if end, stop := w.act(c, r, r.action, r.target, source, m, depth); stop {
				return end
			}
			continue
		}
		for _, ch := range r.choices {
			cm := w.match(ch.conditions, ch.action)
			if !cm.holds {
				continue
			}
			cm = m.and(cm)
			if end, stop := w.act(c, r, ch.action, ch.target, source, cm, depth); stop {
				return end
			}
			if cm.surely && cm.source == "" {
				break // a map has one element for a packet
			}
		}
	}
	return undecided
}

// act does what a rule does. stop says that the chain ends here.
func (w *walkState) act(c *chain, r rule, a action, target, source string, m matched, depth int) (end ending, stop bool) {
	from := narrower(source, m.source)
	sure := m.surely && m.source == "" // every packet of the walk meets it
	switch a {
	case accept:
		w.accept(from, c.where(r), false)
		// Once all are let in, what follows changes nothing; a doubtful
		// condition counts as met.
		if m.source == "" {
			return decided, true
		}
	case drop:
		if sure {
			return decided, true
		}
	case giveUp:
		if sure {
			return undecided, true
		}
	case divert:
		if m.source == "" && source == "" {
			w.diverted = c.where(r)
			return decided, true
		}
		w.accept(from, c.where(r), false)
	case jump, goTo:
		next := w.e.rules.chains[chainID{c.family, c.table, target}]
		got := w.chain(next, from, depth+1)
		if m.source == "" && got == decided && (m.surely || w.result.any) {
			return decided, true
		}
		if a == goTo && sure {
			return undecided, true
		}
	}
	return undecided, false
}

func narrower(a, b string) string {
	if b == "" {
		return a
	}
	return b
}

// matched says whether the conditions can hold, whether they surely hold, and
// for which source; "" stands for any.
type matched struct {
	holds, surely bool
	source        string
}

func (m matched) and(o matched) matched {
	return matched{m.holds && o.holds, m.surely && o.surely, narrower(m.source, o.source)}
}

// match tries the conditions on the packet. Ones that are not modelled make
// the evaluation approximate if the rule could decide something.
func (w *walkState) match(conditions []condition, a action) matched {
	m := matched{holds: true, surely: true}
	unknown := false
	for _, c := range conditions {
		one := w.one(c)
		unknown = unknown || c.field == fieldUnknown
		m = m.and(one)
		if !m.holds {
			return m
		}
	}
	if unknown && a != carryOn {
		w.e.approximate = true
	}
	return m
}

func (w *walkState) one(c condition) matched {
	yes, no, perhaps := matched{true, true, ""}, matched{}, matched{true, false, ""}
	decide := func(hit bool) matched {
		if hit != c.negate {
			return yes
		}
		return no
	}
	switch c.field {
	case fieldProtocol:
		return decide(contains(c.values, w.pkt.protocol))
	case fieldFamily:
		return decide(contains(c.values, fmt.Sprint(w.pkt.family)))
	case fieldState:
		return decide(contains(c.values, w.pkt.state))
	case fieldPort:
		hit := false
		w.e.steps += len(c.ports)
		for _, r := range c.ports {
			hit = hit || w.pkt.port >= r.from && w.pkt.port <= r.to
		}
		return decide(hit)
	case fieldInterface:
		loopback := contains(c.values, "lo")
		if w.pkt.loopback {
			return decide(loopback)
		}
		if loopback && len(c.values) == 1 {
			return decide(false)
		}
		return perhaps // some other interface, which may be the one outside
	case fieldSource:
		return w.source(c)
	}
	return perhaps
}

// source judges a condition on the source address.
func (w *walkState) source(c condition) matched {
	everyone, local := c.everyone, c.loopback
	switch {
	case w.pkt.loopback:
		if local != c.negate {
			return matched{true, true, ""}
		}
		return matched{}
	case everyone:
		if c.negate {
			return matched{}
		}
		return matched{true, true, ""}
	case local: // such packets from outside are martians
		if c.negate {
			return matched{true, true, ""}
		}
		return matched{}
	case c.negate: // nearly all
		return matched{true, false, ""}
	}
	return matched{true, true, c.name}
}

func contains(list []string, s string) bool {
	for _, v := range list {
		if v == s {
			return true
		}
	}
	return false
}
