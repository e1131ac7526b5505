package console

import (
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/demarc/demarc/api"
)

const (
	// pageEntries is how many entries one page of the ledger shows.
	pageEntries = 100
	// noIndex stands for the end of the ledger.
	noIndex = int64(-1)
)

// entryLine is a ledger entry with the names that are known, by id.
type entryLine struct {
	api.LedgerEntry
	TenantName string
	Names      map[string]string
}

// ledgerPage is a page of entries, newest first.
type ledgerPage struct {
	State   *api.LedgerState
	Origin  string
	Entries []entryLine
	Action  string
	// Older is the address of the next page; empty on the last.
	Older string
	First bool
}

// entries reads one page that ends before the entry with the index before.
// more reports whether there are older ones.
func entries(v *visit, f api.LedgerFilter, before int64, limit int, names map[string]string) (out []entryLine, more bool, err error) {
	for e, err := range v.client.LedgerEntries(v, f) {
		if err != nil {
			return out, false, err
		}
		if before != noIndex && e.Index >= before {
			continue
		}
		if len(out) == limit {
			return out, true, nil
		}
		out = append(out, entryLine{LedgerEntry: e, TenantName: orElse(names[e.Tenant], e.Tenant), Names: names})
	}
	return out, false, nil
}

// ledger shows the whole ledger to the provider and a tenant's part to both.
func (c *Console) ledger(v *visit) error {
	q := v.r.URL.Query()
	f := api.LedgerFilter{Tenant: v.tenant(), Action: strings.TrimSpace(q.Get("action"))}
	page := ledgerPage{Action: f.Action, First: true}
	before := noIndex
	if s := q.Get("before"); s != "" {
		index, err := strconv.ParseInt(s, 10, 64)
		if err != nil || index < 0 {
			return &api.Problem{Status: http.StatusBadRequest, Title: "There is no such page of the ledger", Detail: "before must be the index of an entry."}
		}
		at, err := v.client.LedgerEntry(v, index)
		if err != nil {
			return err
		}
		// Entries of the same moment are told apart by their index.
		before, f.Until, page.First = index, at.Time.Add(time.Millisecond).Format(time.RFC3339Nano), false
	}
	names, err := knownNames(v)
	if err != nil {
		return err
	}
	var more bool
	if page.Entries, more, err = entries(v, f, before, pageEntries, names); err != nil {
		return err
	}
	if more {
		q.Set("before", strconv.FormatInt(page.Entries[len(page.Entries)-1].Index, 10))
		page.Older = v.r.URL.Path + "?" + q.Encode()
	}
	state, err := v.client.LedgerState(v)
	switch {
	case err == nil:
		page.State = &state
		page.Origin, _, _ = strings.Cut(state.Checkpoint, "\n")
	case !absent(err):
		return err
	}
	c.render(v, http.StatusOK, "ledger", "Ledger", page)
	return nil
}

// knownNames are the names of tenants, and of the people and services that the
// visitor may list, by id.
func knownNames(v *visit) (map[string]string, error) {
	out := map[string]string{v.me.ID: v.me.Name}
	for t, err := range v.client.Tenants(v) {
		if err != nil {
			return nil, err
		}
		out[t.ID] = t.Name
	}
	for p, err := range v.client.Principals(v, "") {
		if absent(err) {
			break
		}
		if err != nil {
			return nil, err
		}
		out[p.ID] = p.Name
	}
	sides := []string{""}
	if v.ofProvider() && v.tenant() != "" {
		sides = append(sides, v.tenant())
	}
	for _, side := range sides {
		for p, err := range v.client.People(v, side) {
			if absent(err) {
				break
			}
			if err != nil {
				return nil, err
			}
			if p.Name != "" {
				out[p.ID] = p.Name
			}
		}
	}
	return out, nil
}
