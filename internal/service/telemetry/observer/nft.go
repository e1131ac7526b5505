package observer

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
)

const (
	maxRules    = 50_000
	maxElements = 20_000 // of one set, or of all verdict maps
)

// nftSet is a named set or map.
type nftSet struct {
	elements []json.RawMessage
}

// parseNft parses the output of nft -j list ruleset (libnftables-json(5)).
func parseNft(b []byte) (*ruleset, error) {
	var doc struct {
		Nftables []map[string]json.RawMessage `json:"nftables"`
	}
	dec := json.NewDecoder(bytes.NewReader(b))
	if err := dec.Decode(&doc); err != nil {
		return nil, fmt.Errorf("the output of nft is not understood: %w", err)
	}
	r := &ruleset{backend: "nftables", chains: map[chainID]*chain{}}
	n := nftParser{rules: r, sets: map[chainID]nftSet{}, dormant: map[chainID]bool{}}
	// Rules may name chains and sets that come later, so they are read last.
	for _, kind := range []string{"table", "chain", "set", "map", "rule"} {
		for _, object := range doc.Nftables {
			if raw, ok := object[kind]; ok {
				if err := n.object(kind, raw); err != nil {
					return nil, fmt.Errorf("the output of nft is not understood: %s: %w", kind, err)
				}
			}
		}
	}
	r.finish()
	return r, nil
}

type nftParser struct {
	rules   *ruleset
	sets    map[chainID]nftSet
	dormant map[chainID]bool
}

func (n *nftParser) object(kind string, raw json.RawMessage) error {
	var o struct {
		Family, Table, Name, Chain string
		Type, Hook, Policy         json.RawMessage
		Prio                       json.RawMessage
		Flags                      json.RawMessage
		Elem                       []json.RawMessage
		Expr                       []map[string]json.RawMessage
	}
	if err := json.Unmarshal(raw, &o); err != nil {
		return err
	}
	switch kind {
	case "table":
		n.rules.tables = append(n.rules.tables, o.Family+" "+o.Name)
		if strings.Contains(string(o.Flags), "dormant") {
			n.dormant[chainID{o.Family, o.Name, ""}] = true
		}
	case "chain":
		c := &chain{chainID: chainID{o.Family, o.Table, o.Name}, kind: text(o.Type), hook: text(o.Hook), policy: text(o.Policy)}
		if n.dormant[chainID{o.Family, o.Table, ""}] {
			c.hook = "" // the kernel does not enter it
		}
		if c.hook != "" && c.policy == "" {
			c.policy = "accept"
		}
		c.priority, _ = strconv.Atoi(string(o.Prio))
		n.rules.chains[c.chainID] = c
	case "set", "map":
		n.sets[chainID{o.Family, o.Table, o.Name}] = nftSet{o.Elem[:min(len(o.Elem), maxElements)]}
	case "rule":
		c := n.rules.chains[chainID{o.Family, o.Table, o.Chain}]
		if c == nil {
			return fmt.Errorf("a rule is in the chain %s %s %s, which is not listed", o.Family, o.Table, o.Chain)
		}
		if n.rules.count++; n.rules.count > maxRules {
			return fmt.Errorf("there are more than %d rules", maxRules)
		}
		c.rules = append(c.rules, n.rule(c, o.Expr))
	}
	return nil
}

func (n *nftParser) rule(c *chain, statements []map[string]json.RawMessage) rule {
	r := rule{position: len(c.rules) + 1}
	for _, s := range statements {
		for kind, raw := range s {
			n.statement(c, &r, kind, raw)
		}
	}
	return r
}

func (n *nftParser) statement(c *chain, r *rule, kind string, raw json.RawMessage) {
	switch kind {
	case "match":
		r.conditions = append(r.conditions, n.match(c, raw)...)
	case "accept":
		r.action = accept
	case "drop", "reject":
		r.action = drop
	case "return":
		r.action = giveUp
	case "jump", "goto":
		var t struct{ Target string }
		_ = json.Unmarshal(raw, &t) // an unknown target is told apart when followed
		r.action, r.target = action(kind), t.Target
	case "vmap":
		r.action = choose
		r.choices = n.vmap(c, raw)
	case "dnat", "redirect", "tproxy", "queue":
		r.action = divert
	case "limit", "ct count", "quota":
		r.conditions = append(r.conditions, condition{field: fieldSometimes})
	case "counter", "log", "mangle", "notrack", "ct helper", "ct timeout", "ct expectation", "comment", "masquerade", "snat", "flow", "dup", "last", "synproxy", "secmark", "map", "set", "ct zone":
		if kind == "set" { // adding to a set fails when it is full or limited
			r.conditions = append(r.conditions, condition{field: fieldSometimes})
		}
	case "xt":
		n.xt(c, r, raw)
	default:
		r.conditions = append(r.conditions, condition{field: fieldUnknown})
	}
}

// xt is a match or target of iptables that nft names without its arguments.
// The table is noted, so that its rules are read with iptables-save instead.
func (n *nftParser) xt(c *chain, r *rule, raw json.RawMessage) {
	var x struct{ Type, Name string }
	_ = json.Unmarshal(raw, &x) // older versions give null: then it is unknown
	switch {
	case x.Type == "target":
		switch x.Name {
		case "REJECT", "TARPIT":
			r.action = drop
		case "DNAT", "REDIRECT", "TPROXY", "NFQUEUE":
			r.action = divert
		}
		return // the others change or record packets and do not decide
	case x.Name == "comment":
		return
	case x.Name == "limit", x.Name == "hashlimit", x.Name == "recent", x.Name == "connlimit":
		r.conditions = append(r.conditions, condition{field: fieldSometimes})
	default:
		r.conditions = append(r.conditions, condition{field: fieldUnknown})
	}
	if n.rules.opaque == nil {
		n.rules.opaque = map[chainID]bool{}
	}
	n.rules.opaque[chainID{c.family, c.table, ""}] = true
}

// vmap turns a verdict map into choices.
func (n *nftParser) vmap(c *chain, raw json.RawMessage) []choice {
	doubt := []choice{{conditions: []condition{{field: fieldUnknown}}, action: accept}}
	var v struct{ Key, Data json.RawMessage }
	if json.Unmarshal(raw, &v) != nil {
		return doubt
	}
	var pairs []json.RawMessage
	if s := text(v.Data); strings.HasPrefix(s, "@") {
		pairs = n.sets[chainID{c.family, c.table, s[1:]}].elements
	} else {
		var o struct{ Set []json.RawMessage }
		if json.Unmarshal(v.Data, &o) != nil {
			return doubt
		}
		pairs = o.Set
	}
	var key struct{ Concat []json.RawMessage }
	_ = json.Unmarshal(v.Key, &key)
	var out []choice
	for _, pair := range pairs[:min(len(pairs), maxElements)] {
		var kv []json.RawMessage
		if json.Unmarshal(pair, &kv) != nil || len(kv) != 2 {
			return doubt
		}
		ch := choice{}
		var verdict map[string]json.RawMessage
		if json.Unmarshal(kv[1], &verdict) != nil {
			return doubt
		}
		for kind, arg := range verdict {
			var r rule
			n.statement(c, &r, kind, arg)
			ch.action, ch.target = r.action, r.target
		}
		ch.conditions = n.keyConditions(c, v.Key, key.Concat, kv[0])
		out = append(out, ch)
	}
	return out
}

// keyConditions compares the key of a map, or each part of a joined key, with
// an element.
func (n *nftParser) keyConditions(c *chain, key json.RawMessage, parts []json.RawMessage, element json.RawMessage) []condition {
	var e struct {
		Concat []json.RawMessage
		Elem   *struct{ Val json.RawMessage }
	}
	_ = json.Unmarshal(element, &e)
	if e.Elem != nil {
		return n.keyConditions(c, key, parts, e.Elem.Val)
	}
	if text(element) == "*" {
		return nil // the default of the map
	}
	if len(parts) == 0 {
		values, whole := n.values(c, element, 0)
		return n.compare(key, values, label(values), whole)
	}
	if len(e.Concat) != len(parts) {
		return []condition{{field: fieldUnknown}}
	}
	var out []condition
	for i, p := range parts {
		values, whole := n.values(c, e.Concat[i], 0)
		out = append(out, n.compare(p, values, label(values), whole)...)
	}
	return out
}
