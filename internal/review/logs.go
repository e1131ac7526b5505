package review

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/demarc/demarc/internal/evidence"
	"github.com/demarc/demarc/internal/store"
)

const (
	// mostEntries bounds how many ledger entries one review counts: the newest.
	mostEntries = 100_000
	maxLines    = 50
	maxItems    = 1000
)

// entryItems groups the ledger entries since the last review by action, the
// unusual ones first.
func entryItems(tx *store.Tx, v store.Review, known []string, through int64) (items []Item, entries, omitted int64, err error) {
	after := v.After
	entries = max(0, through-after)
	if entries > mostEntries {
		omitted = entries - mostEntries
		after = through - mostEntries
	}
	tally, err := tx.TallyLedger(v.Tenant, after, through)
	if err != nil {
		return nil, 0, 0, err
	}
	for len(tally) > 0 {
		n := 1
		for n < len(tally) && tally[n].Action == tally[0].Action {
			n++
		}
		item, err := entryItem(tally[:n], known)
		if err != nil {
			return nil, 0, 0, err
		}
		items, tally = append(items, item), tally[n:]
	}
	slices.SortStableFunc(items, func(a, b Item) int {
		return cmp.Or(cmp.Compare(usual(a), usual(b)), strings.Compare(a.ID, b.ID))
	})
	return items, entries, omitted, nil
}

func usual(i Item) int {
	if i.Unusual == "" {
		return 1
	}
	return 0
}

// entryItem is the item of one action; its entries are counted by actor.
func entryItem(of []store.Tally, known []string) (Item, error) {
	action := of[0].Action
	item := Item{ID: "entries/" + action, From: &of[0].First, To: &of[0].Last, Unusual: unusual(action)}
	type line struct {
		Actor string `json:"actor"`
		Count int    `json:"count"`
		First int64  `json:"first"`
		Last  int64  `json:"last"`
	}
	var shown []line
	var strangers int
	for i := range of {
		t := &of[i]
		item.Count += t.Count
		item.From, item.To = lower(item.From, &t.First), higher(item.To, &t.Last)
		text := fmt.Sprintf("%s: %d, last %s", t.Actor, t.Count, t.LastAt.Format(time.DateTime))
		if stranger(t.Actor, known) {
			strangers++
			text += " (not seen in a review before)"
		}
		shown = append(shown, line{t.Actor, t.Count, t.First, t.Last})
		if len(item.Lines) < maxLines {
			item.Lines = append(item.Lines, text)
		}
	}
	if more := len(of) - len(item.Lines); more > 0 {
		item.Lines = append(item.Lines, fmt.Sprintf("and %d more actors", more))
	}
	item.Title = fmt.Sprintf("%s of %s", plural(item.Count, "entry", "entries"), action)
	if strangers > 0 && item.Unusual == "" {
		item.Unusual = plural(strangers, "actor was", "actors were") + " not seen in a review before"
	}
	return item, item.digest(shown)
}

func lower(a, b *int64) *int64 {
	if *b < *a {
		return b
	}
	return a
}

func higher(a, b *int64) *int64 {
	if *b > *a {
		return b
	}
	return a
}

// stranger reports that a principal was in no former review. The product's own
// parts and agents are no strangers.
func stranger(actor string, known []string) bool {
	side := strings.HasPrefix(actor, "provider-") || strings.HasPrefix(actor, "customer-")
	return side && !slices.Contains(known, actor)
}

// unusual says why entries of an action deserve a look before others.
func unusual(action string) string {
	switch {
	case strings.Contains(action, "break-glass"):
		return "emergency access"
	case strings.HasPrefix(action, "incident."):
		return "incidents"
	case strings.HasPrefix(action, "sign-in.") && !strings.HasSuffix(action, ".start"), strings.HasSuffix(action, ".refuse"), strings.HasSuffix(action, ".lock"):
		return "refusals"
	case strings.HasSuffix(action, ".revoke"), strings.HasSuffix(action, ".remove"):
		return "something was revoked or removed"
	case action == "contact.read":
		return "personal data was read"
	case strings.HasPrefix(action, "key-set."), strings.HasPrefix(action, "key."):
		return "keys for decisions changed"
	}
	return ""
}

// stateItems are the logins on the tenant's VMs and its duties that are not met.
func stateItems(tx *store.Tx, tenant string) ([]Item, error) {
	var items []Item
	vms, err := tx.VMs(tenant, store.Page{Limit: maxItems})
	if err != nil {
		return nil, err
	}
	var subjects []evidence.Subject
	names := map[string]string{}
	for _, vm := range vms {
		names[vm.ID] = vm.Name
		subjects = append(subjects, evidence.Subject{Scope: evidence.ScopeVM, Tenant: tenant, ID: vm.ID})
	}
	for some := range slices.Chunk(subjects, 200) {
		facts, err := tx.Facts(some, "host.logins")
		if err != nil {
			return nil, err
		}
		slices.SortFunc(facts, func(a, b evidence.Fact) int { return strings.Compare(names[a.Subject.ID], names[b.Subject.ID]) })
		for _, f := range facts {
			item, err := loginItem(f, names[f.Subject.ID])
			if err != nil {
				return nil, err
			}
			items = append(items, item)
		}
	}
	failed, err := tx.Verdicts(store.VerdictFilter{Tenant: tenant, Verdict: evidence.NotMet, Limit: maxItems})
	if err != nil || len(failed) == 0 {
		return items, err
	}
	item := Item{ID: "duties/not-met", Title: plural(len(failed), "duty is not met", "duties are not met"), Count: len(failed), Unusual: "duties are not met", Moves: true}
	if len(failed) == maxItems {
		item.Title = fmt.Sprintf("%d or more duties are not met", maxItems)
	}
	for _, j := range failed {
		text := j.Duty
		if n := names[j.Subject.ID]; n != "" {
			text += " of " + n
		}
		if item.Lines = append(item.Lines, text+": "+j.Reason); len(item.Lines) == maxLines {
			break
		}
	}
	items = append(items, item)
	return items, items[len(items)-1].digest(item.Lines)
}

// logins is what is read of a host.logins fact.
type logins struct {
	Available   bool `json:"available"`
	WindowHours int  `json:"window_hours"`
	Failed      int  `json:"failed"`
	Logins      []struct {
		User   string    `json:"user"`
		Source string    `json:"source"`
		At     time.Time `json:"at"`
	} `json:"logins"`
}

func loginItem(f evidence.Fact, vm string) (Item, error) {
	item := Item{ID: "logins/" + f.Subject.ID, Digest: f.Digest, Moves: true}
	var l logins
	if err := json.Unmarshal(f.Data, &l); err != nil {
		return item, fmt.Errorf("stored host.logins of %s is damaged: %w", f.Subject.ID, err)
	}
	item.Count = len(l.Logins)
	item.Title = fmt.Sprintf("%s on %s in the %d hours before %s, %d failed", plural(item.Count, "login", "logins"), vm, l.WindowHours,
		f.ObservedAt.UTC().Format(time.DateTime), l.Failed)
	if !l.Available {
		item.Title, item.Unusual = "logins on "+vm+" cannot be read", "logins cannot be read"
	}
	for _, x := range l.Logins {
		from := x.Source
		if from == "" {
			from = "the console"
		}
		if item.Lines = append(item.Lines, fmt.Sprintf("%s %s from %s", x.At.UTC().Format(time.DateTime), x.User, from)); len(item.Lines) == maxLines {
			break
		}
	}
	return item, nil
}
