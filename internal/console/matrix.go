package console

import (
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
	var untitled error
	var asking sync.WaitGroup
	asking.Go(func() { titles, untitled = v.client.Overview(v, v.tenant()) })
	m, err := v.client.Matrix(v, v.tenant(), at)
	asking.Wait()
	if err == nil {
		err = untitled
	}
	if err != nil {
		return err
	}
	page := matrixPage{
		Tenant: m.Tenant, Catalogue: m.Catalogue, At: m.At, Past: at, Today: today,
		Created: m.Tenant.CreatedAt.UTC().Format(time.DateOnly),
		Filter:  matrixFilter{Text: strings.TrimSpace(q.Get("q")), Verdict: q.Get("verdict"), Level: q.Get("level"), Control: q.Get("control")},
	}
	parts, err := c.sides(v, m, at != "")
	if err != nil {
		return err
	}
	page.fill(m, titles, parts)
	c.render(v, http.StatusOK, "matrix", m.Tenant.Name, page)
	return nil
}

// sides counts what of a split duty is the provider's, by duty: the matrix
// itself counts both sides together. It asks for the smaller side and leaves
// out a duty whose sides are both large.
func (c *Console) sides(v *visit, m api.Matrix, past bool) (map[string]api.Counts, error) {
	const (
		workers = 4
		large   = 500
	)
	out := map[string]api.Counts{}
	if past {
		return out, nil
	}
	var mu sync.Mutex // guards out and first
	var first error
	var wg sync.WaitGroup
	slots := make(chan struct{}, workers)
	for _, r := range m.Rows {
		fewer, party := len(r.Provider), "provider"
		if len(r.Customer) < fewer {
			fewer, party = len(r.Customer), "customer"
		}
		if fewer == 0 {
			continue
		}
		if all := total(r.Verdicts); all == len(r.Customer)+len(r.Provider) && byVerdict(r.Verdicts)[worst(r.Verdicts)] == all {
			// All verdicts are the same: they divide as the VMs do.
			mu.Lock()
			out[r.Duty] = times(one(worst(r.Verdicts)), len(r.Provider))
			mu.Unlock()
			continue
		}
		if fewer > large {
			continue
		}
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			var n api.Counts
			found, err := api.Collect(v.client.Posture(v, api.PostureFilter{Tenant: m.Tenant.Name, Duty: r.Duty, Party: party}))
			for _, j := range found {
				n = plus(n, one(j.Verdict))
			}
			if party == "customer" {
				n = minus(r.Verdicts, n)
			}
			mu.Lock()
			defer mu.Unlock()
			out[r.Duty] = n
			if first == nil {
				first = err
			}
		})
	}
	wg.Wait()
	return out, first
}

// fill sorts the rows into controls and sides.
func (p *matrixPage) fill(m api.Matrix, titles api.Overview, parts map[string]api.Counts) {
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
			r.Verdicts = api.Counts{}
		}
		providers, known := parts[r.Duty]
		for _, k := range rowChips(m.Tenant.Name, r, providers, known) {
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

// rowChips makes one chip, or one for each side of a split duty. Unless it is
// known how a split duty's verdicts divide, both chips have all of them.
func rowChips(tenant string, r api.MatrixRow, providers api.Counts, known bool) []chip {
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
	customers := r.Verdicts
	if split && known {
		customers = minus(r.Verdicts, providers)
	} else {
		providers = r.Verdicts
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
