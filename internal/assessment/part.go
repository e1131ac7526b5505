package assessment

import (
	"bytes"
	"slices"

	"github.com/go-json-experiment/json/jsontext"
)

// Part reads of facts no more than some programs need: most of a fact is read
// by none. It is immutable and safe for concurrent use.
type Part struct {
	env *Environment
	// needed says by kind which members are read; a kind that is not in it is
	// read as a whole.
	needed map[string][]bool
}

// Part returns what the programs need. They must be of this environment; nil
// ones are skipped.
func (e *Environment) Part(programs ...*Program) *Part {
	p := &Part{env: e, needed: map[string][]bool{}}
	whole := map[string]bool{}
	for _, prg := range programs {
		if prg == nil {
			continue
		}
		for _, kind := range prg.reads {
			names := prg.members[kind]
			whole[kind] = whole[kind] || names == nil
			f := e.forms[kind]
			if p.needed[kind] == nil {
				p.needed[kind] = make([]bool, len(f.fields))
			}
			for _, name := range names {
				p.needed[kind][f.byName[name]] = true
			}
		}
	}
	for kind := range whole {
		if whole[kind] {
			delete(p.needed, kind)
		}
	}
	return p
}

// Decode reads the data of a fact that Environment.Decode took before. The
// value is good for the programs of the part and for no others.
func (p *Part) Decode(kind string, data []byte) (*Value, error) {
	needed := p.needed[kind]
	if needed == nil || !slices.Contains(needed, false) {
		return p.env.Decode(kind, data)
	}
	// Names and characters were checked when the fact was taken in.
	dec := jsontext.NewDecoder(bytes.NewBuffer(data), jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))
	d := decoder{dec: dec}
	return d.fact(p.env.forms[kind], kind, needed)
}
