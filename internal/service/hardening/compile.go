package hardening

import (
	"errors"
	"fmt"

	"github.com/demarc/demarc/internal/assessment"
)

// compiled is a rule whose expressions are ready.
type compiled struct {
	Rule
	applies, known *assessment.Program // nil if the rule has none
	pass, message  *assessment.Program
	// needApplies and need are the fact kinds that must be there, by bit.
	needApplies, need uint64
}

type compiler struct {
	env    *assessment.Environment
	kinds  []string
	bits   map[string]int
	family *assessment.Program
	rules  []compiled
	faults []error
}

// The baseline is chosen by the family of the system.
const (
	factOS           = "host.os"
	familyExpression = factOS + ".family"
)

// compile checks and prepares the rules. Its error joins a *Fault for every
// expression that is refused.
func (c *compiler) compile(rules []Rule) error {
	var err error
	if c.family, err = c.env.CompileString(familyExpression); err != nil {
		return fmt.Errorf("baselines are chosen by %s, which no service provides: %w", familyExpression, err)
	}
	c.bit(factOS)
	for _, r := range rules {
		out := compiled{Rule: r}
		if r.Applies.Text != "" {
			out.applies = c.program(r.Applies, c.env.CompileBool)
			out.needApplies = c.mask(out.applies)
		}
		if r.Known.Text != "" {
			out.known = c.program(r.Known, c.env.CompileBool)
		}
		out.pass = c.program(r.Pass, c.env.CompileBool)
		out.message = c.program(r.Message, c.env.CompileString)
		out.need = out.needApplies | c.mask(out.known) | c.mask(out.pass) | c.mask(out.message)
		if out.pass != nil && c.mask(out.pass) == 0 {
			c.fault(r.Pass, 1, 1, "reads no fact, so it judges nothing")
		}
		c.rules = append(c.rules, out)
	}
	if len(c.kinds) > 64 {
		return fmt.Errorf("the rules read %d kinds of fact, the limit is 64", len(c.kinds))
	}
	return errors.Join(c.faults...)
}

// programs are all that read facts.
func (c *compiler) programs() []*assessment.Program {
	all := []*assessment.Program{c.family}
	for i := range c.rules {
		r := &c.rules[i]
		all = append(all, r.applies, r.known, r.pass, r.message)
	}
	return all
}

func (c *compiler) program(e Expression, compile func(string) (*assessment.Program, error)) *assessment.Program {
	p, err := compile(e.Text)
	if err == nil {
		return p
	}
	if ee, ok := errors.AsType[*assessment.ExpressionError](err); ok {
		c.fault(e, ee.Line, ee.Column, ee.Reason)
	} else {
		c.fault(e, 1, 1, err.Error())
	}
	return nil
}

// fault places line and column of an expression in its file. In a block the
// parser has taken the indentation away and may have joined lines, so only the
// line is told there, and the column of the block.
func (c *compiler) fault(e Expression, line, column int, reason string) {
	if len(c.faults) == maxFaults {
		return
	}
	f := &Fault{File: e.file, Line: e.line, Column: e.column, Reason: reason}
	switch {
	case e.block:
		f.Line += line
		f.Reason = fmt.Sprintf("%s (at character %d of the expression)", reason, column)
	case line == 1:
		f.Column += column - 1
	}
	c.faults = append(c.faults, f)
}

func (c *compiler) bit(kind string) int {
	b, ok := c.bits[kind]
	if !ok {
		b = len(c.kinds)
		c.bits[kind] = b
		c.kinds = append(c.kinds, kind)
	}
	return b
}

func (c *compiler) mask(p *assessment.Program) uint64 {
	var m uint64
	if p != nil {
		for _, k := range p.Reads() {
			m |= 1 << c.bit(k)
		}
	}
	return m
}
