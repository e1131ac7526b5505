package console

import (
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/demarc/demarc/api"
)

const (
	// cardLimit bounds the tenants that the overview counts.
	cardLimit = 48
	// recentEntries is how much of the ledger the overview shows.
	recentEntries = 10
	// silence is how long an agent may be unheard before the overview names it.
	silence = 5 * time.Minute
)

// overviewPage is the provider's first page.
type overviewPage struct {
	Filter  string
	Counts  api.Counts
	Cards   []tenantCard
	Tenants int
	// More counts the tenants that are not shown.
	More    int
	Silent  []silentAgent
	Entries []entryLine
	// Waits are what waits for the visitor, Stores the stores that records wait for.
	Waits  []waiting
	Stores []api.Waiting
	// SetUp: nobody administers the provider yet.
	SetUp bool
}

// tenantCard sums up a tenant.
type tenantCard struct {
	Name     string
	Counts   api.Counts
	Customer api.Counts
	Provider api.Counts
	Agents   int
}

// silentAgent is one that was not heard of lately, or never.
type silentAgent struct {
	Tenant, VM, ID string
	Seen           *time.Time
}

// overview sends a customer to the tenant's matrix.
func (c *Console) overview(v *visit) error {
	if !v.ofProvider() {
		t, err := v.client.Tenant(v, v.me.Tenant)
		if err != nil {
			return err
		}
		http.Redirect(v.w, v.r, pathOf("tenants", t.Name), http.StatusSeeOther)
		return nil
	}
	page := overviewPage{Filter: strings.TrimSpace(v.r.FormValue("q"))}
	tenants, err := api.Collect(v.client.Tenants(v))
	if err != nil {
		return err
	}
	page.Tenants = len(tenants)
	names, err := knownNames(v)
	if err != nil {
		return err
	}
	all, err := v.client.Overview(v, "")
	if err != nil {
		return err
	}
	page.Counts, page.Stores = all.Counts, all.Waiting
	if page.Waits, err = v.waitsAtHome(); err != nil {
		return err
	}
	if page.SetUp, err = v.setUpOpen(); err != nil {
		return err
	}
	slices.SortFunc(tenants, func(a, b api.Tenant) int { return strings.Compare(a.Name, b.Name) })
	for _, t := range tenants {
		if !strings.Contains(t.Name, strings.ToLower(page.Filter)) {
			continue
		}
		if len(page.Cards) == cardLimit {
			page.More++
			continue
		}
		card, silent, err := c.card(v, t)
		if err != nil {
			return err
		}
		page.Cards = append(page.Cards, card)
		page.Silent = append(page.Silent, silent...)
	}
	page.Entries, _, err = entries(v, api.LedgerFilter{}, noIndex, recentEntries, names)
	if err != nil && !absent(err) {
		return err
	}
	c.render(v, http.StatusOK, "overview", "Overview", page)
	return nil
}

func (c *Console) card(v *visit, t api.Tenant) (tenantCard, []silentAgent, error) {
	card := tenantCard{Name: t.Name}
	o, err := v.client.Overview(v, t.Name)
	if err != nil {
		return card, nil, err
	}
	card.Counts = o.Counts
	for _, s := range o.Controls {
		if s.Party == "provider" {
			card.Provider = plus(card.Provider, s.Counts)
		} else {
			card.Customer = plus(card.Customer, s.Counts)
		}
	}
	agents, err := api.Collect(v.client.Agents(v, t.Name))
	if err != nil {
		return card, nil, err
	}
	var silent []silentAgent
	for _, a := range agents {
		if a.RevokedAt != nil {
			continue
		}
		card.Agents++
		if a.SeenAt == nil || c.cfg.Now().Sub(*a.SeenAt) > silence {
			silent = append(silent, silentAgent{Tenant: t.Name, VM: a.VM, ID: a.ID, Seen: a.SeenAt})
		}
	}
	return card, silent, nil
}
