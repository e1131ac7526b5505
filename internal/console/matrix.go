package console

import (
	"cmp"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/demarc/demarc/api"
)

// matrixPage is the contract of a tenant with the line down the middle.
type matrixPage struct {
	Tenant    api.Tenant
	Catalogue string
	At        time.Time
	// Past is the date asked for; empty for now. There are no verdicts then.
	Past           string
	Today, Created string
	Controls       []controlBlock
	Customer       side
	Provider       side
	Verdicts       []verdictCount
	Filter         matrixFilter
	Moved, Split   int
	// Waits are what waits for the visitor, Stores the stores that records wait for.
	Waits  []waiting
	Stores []api.Waiting
	// NoKeys: nothing can be signed yet, and the visitor can change that.
	NoKeys bool
}

// side sums up one side of the line: its chips by verdict.
type side struct {
	Duties int
	Counts api.Counts
}

// verdictCount is a choice of the filter.
type verdictCount struct {
	Verdict string
	Chips   int
	Chosen  bool
}

// matrixFilter hides the chips that do not match. An empty member matches all.
type matrixFilter struct {
	Text, Verdict, Level, Control string
}

// controlBlock is one control with its chips on both sides.
type controlBlock struct {
	ID, Title          string
	Customer, Provider []chip
	Counts             api.Counts
	Hidden             bool
}

// chip is one duty on one side of the line.
type chip struct {
	Duty, Control, Title, Scope, Level string
	// Side is the party that is responsible.
	Side string
	Href string
	// Verdict is empty in the past and before the first judgement.
	Verdict string
	Counts  api.Counts
	// VMs is how many the side answers for, where a subscription splits them.
	VMs   int
	Names string
	// Service moved the duty here, on Since.
	Service string
	Since   *time.Time
	// Services could move it.
	Services []string
	Hidden   bool
}

func (f matrixFilter) hides(c chip) bool {
	text := strings.ToLower(c.Duty + " " + c.Title + " " + c.Service)
	return f.Verdict != "" && f.Verdict != c.Verdict || f.Level != "" && f.Level != c.Level ||
		f.Control != "" && f.Control != c.Control || f.Text != "" && !strings.Contains(text, strings.ToLower(f.Text))
}

func (c *Console) matrix(v *visit) error {
	q := v.r.URL.Query()
	today := c.cfg.Now().UTC().Format(time.DateOnly)
	at := q.Get("at")
	if at == today {
		at = ""
	}
	var titles api.Overview
	var waits []waiting
	var noKeys bool
	var untitled, uncounted error
	var asking sync.WaitGroup
	asking.Go(func() { titles, untitled = v.client.Overview(v, v.tenant()) })
	asking.Go(func() { waits, noKeys, uncounted = v.attention() })
	m, err := v.client.Matrix(v, v.tenant(), at)
	asking.Wait()
	if err = cmp.Or(err, untitled, uncounted); err != nil {
		return err
	}
	page := matrixPage{
		Tenant: m.Tenant, Catalogue: m.Catalogue, At: m.At, Past: at, Today: today,
		Created: m.Tenant.CreatedAt.UTC().Format(time.DateOnly),
		Filter:  matrixFilter{Text: strings.TrimSpace(q.Get("q")), Verdict: q.Get("verdict"), Level: q.Get("level"), Control: q.Get("control")},
	}
	page.fill(m, titles)
	if page.Stores = titles.Waiting; page.Past == "" {
		page.Waits, page.NoKeys = waits, noKeys
	}
	c.render(v, http.StatusOK, "matrix", m.Tenant.Name, page)
	return nil
}

// attention is what waits for the visitor in the tenant, and whether a key is
// missing that the visitor can make.
func (v *visit) attention() (waits []waiting, noKeys bool, err error) {
	t, err := v.client.Tenant(v, v.tenant())
	if err != nil {
		return nil, false, err
	}
	if waits, err = v.waitsAt(t); err != nil || !v.may("manage-keys", t) {
		return waits, false, err
	}
	keys, err := v.client.Keys(v, t.Name)
	if absent(err) {
		return waits, false, nil
	}
	return waits, err == nil && len(keys.Keys) == 0, err
}

// fill sorts the rows into controls and sides.
func (p *matrixPage) fill(m api.Matrix, titles api.Overview) {
	named := map[string]string{}
	for _, s := range titles.Controls {
		named[s.Control] = s.Title
	}
	index := map[string]int{}
	chips := map[string]int{}
	for _, r := range m.Rows {
		i, ok := index[r.Control]
		if !ok {
			i = len(p.Controls)
			index[r.Control] = i
			p.Controls = append(p.Controls, controlBlock{ID: r.Control, Title: named[r.Control], Hidden: true})
		}
		block := &p.Controls[i]
		if p.Past != "" {
			r.Verdicts, r.ProviderVerdicts = api.Counts{}, api.Counts{}
		}
		for _, k := range rowChips(m.Tenant.Name, r) {
			k.Hidden = p.Filter.hides(k)
			block.Hidden = block.Hidden && k.Hidden
			block.Counts = plus(block.Counts, k.Counts)
			chips[k.Verdict]++
			if k.Side == "provider" {
				block.Provider = append(block.Provider, k)
				p.Provider.add(k)
			} else {
				block.Customer = append(block.Customer, k)
				p.Customer.add(k)
			}
			if k.Service != "" {
				p.Moved++
			}
		}
		if len(r.Customer) > 0 && len(r.Provider) > 0 {
			p.Split++
		}
	}
	for _, v := range verdicts {
		if chips[v] > 0 || v == p.Filter.Verdict {
			p.Verdicts = append(p.Verdicts, verdictCount{Verdict: v, Chips: chips[v], Chosen: v == p.Filter.Verdict})
		}
	}
}

func (s *side) add(k chip) {
	s.Duties++
	if k.Verdict != "" {
		s.Counts = plus(s.Counts, one(k.Verdict))
	}
}

// rowChips makes one chip, or one for each side of a split duty.
func rowChips(tenant string, r api.MatrixRow) []chip {
	base := chip{
		Duty: r.Duty, Control: r.Control, Title: r.Title, Scope: r.Scope, Level: r.Level, Services: r.Services,
		Href: dutyPath(tenant, r.Duty, api.Subject{}),
	}
	var out []chip
	split := len(r.Customer) > 0 && len(r.Provider) > 0
	add := func(side string, shares []api.Share, n api.Counts) {
		if len(shares) == 0 {
			return
		}
		k := base
		k.Side, k.Counts, k.Verdict = side, n, worst(n)
		if split {
			k.VMs, k.Names = len(shares), subjectNames(shares)
		}
		for _, s := range shares {
			if s.Service != "" {
				k.Service = s.Service
				if s.Since != nil && (k.Since == nil || s.Since.After(*k.Since)) {
					k.Since = s.Since
				}
			}
		}
		out = append(out, k)
	}
	customers, providers := r.Verdicts, r.Verdicts
	if split {
		customers, providers = minus(r.Verdicts, r.ProviderVerdicts), r.ProviderVerdicts
	}
	add("customer", r.Customer, customers)
	add("provider", r.Provider, providers)
	return out
}

// subjectNames lists a few names for a hint.
func subjectNames(shares []api.Share) string {
	const few = 12
	var names []string
	for i, s := range shares {
		if i == few {
			return strings.Join(names, ", ") + " and " + plural(len(shares)-few, "other")
		}
		names = append(names, s.Subject.Name)
	}
	return strings.Join(names, ", ")
}
