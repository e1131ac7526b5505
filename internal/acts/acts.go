// Package acts says what the actions of ledger entries mean: in words for
// people, and which permission somebody used who did it.
package acts

import (
	"strings"

	"github.com/demarc/demarc/internal/access"
)

// Act is what one action of the ledger means.
type Act struct {
	// Words finish the sentence that the actor begins: "asked for access".
	Words string
	// Needs is the permission that a person used by it; empty where everybody
	// has it, or where no person acts.
	Needs access.Action
	// Access marks acts about access to an environment: the customer is shown
	// them also where the product itself did them, by a timer or in the gateway.
	Access bool
}

// Of returns what an action means; ok is false if nobody has said so. An action
// that says more than another, as session.refuse.target than session.refuse,
// means the same.
func Of(action string) (a Act, ok bool) {
	for {
		if a, ok = table[action]; ok {
			return a, true
		}
		i := strings.LastIndexByte(action, '.')
		if i < 0 {
			return Act{}, false
		}
		action = action[:i]
	}
}

// All returns the actions that have words.
func All() []string {
	out := make([]string, 0, len(table))
	for a := range table {
		out = append(out, a)
	}
	return out
}

// AboutAccess returns the actions that are about access to an environment.
func AboutAccess() []string {
	var out []string
	for name, a := range table {
		if a.Access {
			out = append(out, name)
		}
	}
	return out
}

// Who puts an actor of the ledger into words: "Provider support (p-1)".
func Who(actor string) string {
	role, id, _ := strings.Cut(actor, "/")
	if role == "system" {
		return "demarc (" + id + ")"
	}
	words := strings.ReplaceAll(role, "-", " ")
	if words != "" {
		words = strings.ToUpper(words[:1]) + words[1:]
	}
	if id == "" {
		return words
	}
	return words + " (" + id + ")"
}

// Sentence is the whole act in words.
func Sentence(actor, action string) string {
	a, ok := Of(action)
	if !ok {
		a.Words = "did " + action
	}
	return Who(actor) + " " + a.Words
}
