package bundle

import (
	"fmt"
	"time"

	"github.com/demarc/demarc/internal/ledger/entry"
)

// Report says what a bundle proves.
type Report struct {
	Origin string `json:"origin"`
	Size   int64  `json:"size"` // entries in the tree
	Root   string `json:"root"` // base64
	Tenant string `json:"tenant"`
	All    bool   `json:"all"`
	// Entries that are shown, in order.
	Entries []Line `json:"entries"`
	// FirstSequence to LastSequence of the tenant are shown without a gap. Both
	// are 0 when All.
	FirstSequence int64      `json:"first_sequence"`
	LastSequence  int64      `json:"last_sequence"`
	Witnesses     []Cosigned `json:"witnesses"`
	// Keys are the verifier keys of the ledger that signed the tree.
	Keys []string `json:"keys"`
	// Proven and NotProven are sentences.
	Proven    []string `json:"proven"`
	NotProven []string `json:"not_proven"`
}

// Line is an entry where it stands.
type Line struct {
	Index int64
	entry.Entry
}

// Cosigned says when a witness saw the tree.
type Cosigned struct {
	Name string    `json:"name"`
	At   time.Time `json:"at"`
	// Trusted: the verifier named the witness's key.
	Trusted bool `json:"trusted"`
}

func (r *Report) proven(format string, args ...any) {
	r.Proven = append(r.Proven, fmt.Sprintf(format, args...))
}

func (r *Report) notProven(format string, args ...any) {
	r.NotProven = append(r.NotProven, fmt.Sprintf(format, args...))
}

// conclude words what was verified.
func (r *Report) conclude(o Options, pinned bool, earlier int64) {
	r.proven("Each of the %d entries shown is in the tree of %d entries with root %s, as written.", len(r.Entries), r.Size, r.Root)
	if pinned {
		r.proven("The tree is signed by %s, whose key you named.", r.Origin)
	} else {
		r.notProven("That the tree is %s's: you named no key, so the bundle is only shown to agree with itself.", r.Origin)
	}

	trusted := 0
	for _, w := range r.Witnesses {
		if w.Trusted {
			trusted++
			r.proven("Witness %s, whose key you named, saw this tree on %s and that it continued all it had seen of %s.", w.Name, w.At.Format(time.RFC3339), r.Origin)
		}
	}
	if trusted == 0 {
		r.notProven("That others are shown the same ledger: no witness that you named has cosigned it.")
	}

	switch {
	case earlier > 0 && len(o.Earlier) > 0:
		r.proven("Nothing that was in your earlier tree of %d entries was changed or removed.", earlier)
	case earlier > 0:
		r.proven("The tree continues the one of %d entries that is in the bundle.", earlier)
		r.notProven("That it continues what you have seen before: you gave no earlier checkpoint.")
	default:
		r.notProven("That it continues what you have seen before: there is no earlier checkpoint to compare with.")
	}

	if r.All {
		first := r.Size
		for i := len(r.Entries) - 1; i >= 0 && r.Entries[i].Index == first-1; i-- {
			first--
		}
		if first < r.Size {
			r.proven("Every entry from %d to %d is shown, whoever it is about.", first, r.Size-1)
		}
		if first > 0 {
			r.notProven("What entries before %d say that are not shown.", first)
		}
		return
	}
	who := "tenant " + r.Tenant
	if r.Tenant == "" {
		who = "the provider"
	}
	r.proven("No entry of %s between its number %d and its number %d is withheld.", who, r.FirstSequence, r.LastSequence)
	if r.FirstSequence > 1 {
		r.notProven("What the entries of %s before its number %d say.", who, r.FirstSequence)
	}
	r.notProven("That %s has no entry after number %d: a later bundle would show a gap.", who, r.LastSequence)
	r.notProven("What the %d entries that are not shown say. That none of them is about %s can be seen by an auditor who is shown all.", r.Size-int64(len(r.Entries)), who)
}
