package httpapi

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/demarc/demarc/api"
	"github.com/demarc/demarc/internal/access"
	"github.com/demarc/demarc/internal/estate"
	"github.com/demarc/demarc/internal/evidence"
	"github.com/demarc/demarc/internal/incident"
	"github.com/demarc/demarc/internal/matrix"
	"github.com/demarc/demarc/internal/posture"
	"github.com/demarc/demarc/internal/responsibility"
	"github.com/demarc/demarc/internal/store"
)

func (a *API) addPosture() {
	add(a, anybody, get("get-posture", "/v1/posture", "Verdicts, by duty"), a.getPosture)
	add(a, anybody, get("get-overview", "/v1/overview", "Verdicts counted by control and party"), a.getOverview)
	add(a, anybody, get("explain", "/v1/explain", "Everything about one duty of one subject"), a.explain)
	add(a, tenant(access.Look), get("get-matrix", "/v1/tenants/{tenant}/matrix", "Who is responsible for what, now or at a past moment"), func(c call, in *struct {
		TenantPath
		At string `query:"at" doc:"RFC 3339 time, or a date (its end in UTC); now if missing" maxLength:"40"`
	}) (*body[api.Matrix], error) {
		at, err := a.parseMoment(in.At)
		if err != nil {
			return nil, err
		}
		m, err := a.Matrix(c, c.tenant, at)
		return plain(m, err)
	})
}

// parseMoment reads a time, or a date as its last moment.
func (a *API) parseMoment(s string) (time.Time, error) {
	if s == "" {
		return a.cfg.Now(), nil
	}
	if t, err := time.Parse(time.RFC3339, s); err == nil {
		return t.UTC(), nil
	}
	d, err := time.Parse(time.DateOnly, s)
	if err != nil {
		return d, huma.Error422UnprocessableEntity("at must be a date such as 2026-03-03 or a time such as 2026-03-03T12:00:00Z")
	}
	end := d.AddDate(0, 0, 1).Add(-time.Microsecond)
	if now := a.cfg.Now(); end.After(now) && !d.After(now) {
		return now, nil // today: as it is now
	}
	return end, nil
}

// visible says what of the estate the caller may see: one tenant, or
// everything for the provider. ref may be empty.
func (a *API) visible(c call, ref string) (tenant string, err error) {
	if ref == "" {
		if c.by.OfProvider() {
			return "", nil
		}
		ref = c.by.Tenant
	}
	if err := a.enter(&c, access.Look, ref); err != nil {
		return "", err
	}
	return c.tenant.ID, nil
}

// PostureQuery selects verdicts.
type PostureQuery struct {
	Tenant  string `query:"tenant" doc:"id or name" maxLength:"100"`
	VM      string `query:"vm" doc:"id or name" maxLength:"100"`
	Control string `query:"control" maxLength:"100"`
	Duty    string `query:"duty" maxLength:"100"`
	Party   string `query:"party" enum:"customer,provider"`
	Verdict string `query:"verdict" enum:"met,not-met,unknown,not-applicable,waived"`
	Scope   string `query:"scope" enum:"vm,vdc,tenant,provider"`
	PageParams
}

func (a *API) getPosture(c call, in *PostureQuery) (*list[api.Verdict], error) {
	tenant, err := a.visible(c, in.Tenant)
	if err != nil {
		return nil, err
	}
	p, err := in.page()
	if err != nil {
		return nil, err
	}
	f := store.VerdictFilter{
		Tenant: tenant, Control: in.Control, Duty: in.Duty, Party: in.Party,
		Verdict: evidence.Verdict(in.Verdict), Scope: evidence.Scope(in.Scope), Limit: p.Limit,
	}
	if p.After != "" {
		parts := strings.SplitN(p.After, "|", 3)
		if len(parts) != 3 {
			return nil, huma.Error422UnprocessableEntity("the cursor is not one that this list gave")
		}
		f.After = &evidence.Judgement{Duty: parts[0], Subject: evidence.Subject{Scope: evidence.Scope(parts[1]), ID: parts[2]}}
	}
	var out *list[api.Verdict]
	err = a.cfg.Store.Read(c, func(tx *store.Tx) error {
		if in.VM != "" {
			v, err := findVM(tx, tenant, in.VM)
			if err != nil {
				return err
			}
			f.VM = v.ID
		}
		js, err := tx.Verdicts(f)
		n, compiled := newNames(tx), a.cfg.Posture.Catalogue()
		out = paged(js, p.Limit, func(j evidence.Judgement) string {
			return j.Duty + "|" + string(j.Subject.Scope) + "|" + j.Subject.ID
		}, func(j evidence.Judgement) api.Verdict { return n.verdict(j, compiled) })
		return err
	})
	return out, err
}

// findVM finds a VM by id or name, in one tenant or, for the provider, in all;
// a name that several tenants use must be made clear.
func findVM(tx *store.Tx, tenant, ref string) (estate.VM, error) {
	if tenant != "" {
		return tx.VM(tenant, ref)
	}
	found, err := tx.VMsNamed(ref)
	switch {
	case err != nil:
		return estate.VM{}, err
	case len(found) == 0:
		return estate.VM{}, fmt.Errorf("VM %q: %w", ref, store.ErrNotFound)
	case len(found) > 1:
		return estate.VM{}, fmt.Errorf("%w: several tenants have a VM %q: name the tenant too", estate.ErrInvalid, ref)
	}
	return found[0], nil
}

func (a *API) getOverview(c call, in *struct {
	Tenant string `query:"tenant" doc:"id or name; everything that you may see if missing" maxLength:"100"`
}) (*body[api.Overview], error) {
	tenant, err := a.visible(c, in.Tenant)
	if err != nil {
		return nil, err
	}
	out, err := a.Overview(c, tenant)
	return plain(out, err)
}

// Overview counts verdicts by control and party; of all tenants and the
// provider if tenant is empty.
func (a *API) Overview(c call, tenant string) (api.Overview, error) {
	var counts []store.VerdictCount
	err := a.cfg.Store.Read(c, func(tx *store.Tx) (err error) {
		counts, err = tx.VerdictCounts(tenant, tenant == "")
		return err
	})
	out := api.Overview{Controls: []api.ControlState{}, Waiting: a.waiting()}
	for _, ctl := range a.cfg.Posture.Catalogue().Catalogue.Controls {
		for _, party := range []responsibility.Party{responsibility.Customer, responsibility.Provider} {
			cs := api.ControlState{Control: ctl.ID, Title: ctl.Title, Party: string(party)}
			for _, d := range ctl.Duties {
				if d.Party == party {
					cs.Duties++
				}
				for _, n := range counts {
					if n.Duty == d.ID && n.Party == string(party) {
						count(&cs.Counts, n.Verdict, n.Count)
						count(&out.Counts, n.Verdict, n.Count)
					}
				}
			}
			out.Controls = append(out.Controls, cs)
		}
	}
	return out, err
}

// ExplainQuery names a duty and its subject.
type ExplainQuery struct {
	Duty   string `query:"duty" required:"true" maxLength:"100"`
	Tenant string `query:"tenant" maxLength:"100"`
	VM     string `query:"vm" maxLength:"100"`
	VDC    string `query:"vdc" maxLength:"100"`
}

func (a *API) explain(c call, in *ExplainQuery) (*body[api.Explanation], error) {
	tenant, err := a.visible(c, in.Tenant)
	if err != nil {
		return nil, err
	}
	d := a.cfg.Posture.Catalogue().Duty(in.Duty)
	if d == nil {
		return nil, huma.Error404NotFound("there is no duty " + clip(in.Duty) + "; the catalogue lists them")
	}
	var x posture.Explanation
	var out api.Explanation
	err = a.cfg.Store.Read(c, func(tx *store.Tx) error {
		s, err := a.subjectOf(tx, c, d.Scope, tenant, in)
		if err != nil {
			return err
		}
		if x, err = a.cfg.Posture.Explain(tx, d.ID, s); err != nil {
			return err
		}
		out = a.explanation(newNames(tx), x)
		if !c.by.OfProvider() {
			withhold(out.Facts)
		}
		return nil
	})
	return plain(out, err)
}

// withhold leaves out of facts what is the provider's people's own: a customer
// is shown that a fact counts, with its digest, and not who they are.
func withhold(facts []api.Fact) {
	for i := range facts {
		if facts[i].Kind == incident.FactKind.Name {
			facts[i].Data = json.RawMessage("{}")
		}
	}
}

// subjectOf finds what the duty is asked about, and asks back where that is
// not clear.
func (a *API) subjectOf(tx *store.Tx, c call, scope evidence.Scope, tenant string, in *ExplainQuery) (evidence.Subject, error) {
	unclear := func(what string) error {
		return huma.Error422UnprocessableEntity(in.Duty + " is a duty about a " + string(scope) + ": name the " + what)
	}
	switch scope {
	case evidence.ScopeVM:
		if in.VM == "" {
			return evidence.Subject{}, unclear("VM (--vm)")
		}
		v, err := findVM(tx, tenant, in.VM)
		return posture.VMSubject(v), err
	case evidence.ScopeVDC:
		if in.VDC == "" || tenant == "" {
			return evidence.Subject{}, unclear("tenant and the VDC (--tenant, --vdc)")
		}
		v, err := tx.VDC(tenant, in.VDC)
		return posture.VDCSubject(v), err
	case evidence.ScopeTenant:
		if tenant == "" {
			if in.VM == "" {
				return evidence.Subject{}, unclear("tenant (--tenant)")
			}
			v, err := findVM(tx, tenant, in.VM)
			return posture.TenantSubject(v.Tenant), err
		}
		return posture.TenantSubject(tenant), nil
	}
	if !c.by.OfProvider() {
		return evidence.Subject{}, huma.Error403Forbidden(in.Duty + " is about the provider's own estate; its verdict is in your matrix")
	}
	return evidence.Provider, nil
}

func (a *API) explanation(n *names, x posture.Explanation) api.Explanation {
	out := api.Explanation{
		Verdict: n.verdict(x.Judgement, a.cfg.Posture.Catalogue()), Duty: Duty(x.Duty),
		Assignment: assignmentOut(x.Assignment), Facts: []api.Fact{}, WouldChange: list0(x.WouldChange),
		Statements: []api.Statement{}, History: []api.PastVerdict{},
	}
	if as := x.Duty.Assessment; as != nil {
		out.Applies, out.Met, out.StaleAfter = as.Applies, as.Met, as.StaleAfter.String()
	}
	for _, f := range x.Facts {
		out.Facts = append(out.Facts, factOut(n, f))
	}
	for _, s := range x.Attestations {
		out.Statements = append(out.Statements, a.attestationOut(n, s))
	}
	for _, s := range x.Waivers {
		out.Statements = append(out.Statements, a.waiverOut(n, s))
	}
	for _, h := range x.History {
		out.History = append(out.History, api.PastVerdict{Verdict: string(h.Verdict), Party: h.Party, Reason: h.Reason, From: h.Since, Until: h.Until})
	}
	return out
}

func assignmentOut(s responsibility.Assignment) api.Assignment {
	out := api.Assignment{Party: string(s.Party), Subscription: s.Subscription, Service: s.Service}
	if !s.Since.IsZero() {
		out.Since = &s.Since
	}
	return out
}

// Matrix is who is responsible for what, with the verdicts of now.
func (a *API) Matrix(c call, t estate.Tenant, at time.Time) (api.Matrix, error) {
	m, err := matrix.For(c, a.cfg.Store, a.cfg.Contract, t.ID, at)
	if err != nil {
		return api.Matrix{}, err
	}
	var mine, providers []store.VerdictCount
	if past := at.Before(a.cfg.Now().Add(-time.Minute)); past {
		// The verdicts of today say nothing of that day.
		return matrixOut(t, m, nil, nil), nil
	}
	err = a.cfg.Store.Read(c, func(tx *store.Tx) (err error) {
		if mine, err = tx.VerdictCounts(t.ID, false); err != nil {
			return err
		}
		providers, err = tx.VerdictCounts("", false)
		return err
	})
	return matrixOut(t, m, mine, providers), err
}

func matrixOut(t estate.Tenant, m matrix.Matrix, mine, providers []store.VerdictCount) api.Matrix {
	out := api.Matrix{Tenant: tenantOut(m.Tenant), At: m.At, Catalogue: m.Catalogue.Name + " " + m.Catalogue.Version, Rows: []api.MatrixRow{}}
	for _, r := range m.Rows {
		counts := mine
		if r.Duty.Scope == evidence.ScopeProvider {
			counts = providers
		}
		out.Rows = append(out.Rows, matrixRow(t, r, counts))
	}
	return out
}

func matrixRow(t estate.Tenant, r matrix.Row, counts []store.VerdictCount) api.MatrixRow {
	row := api.MatrixRow{
		Duty: r.Duty.ID, Control: r.Duty.Control, Title: r.Duty.Title, Scope: string(r.Duty.Scope), Level: string(r.Duty.Level),
		Services: list0(r.Duty.Services), Customer: []api.Share{}, Provider: []api.Share{},
	}
	for _, s := range r.Shares {
		share := api.Share{Subject: api.Subject{Scope: "tenant", Tenant: t.ID, ID: t.ID, Name: t.Name}, Service: s.Service}
		if s.VM != nil {
			share.Subject = api.Subject{Scope: "vm", Tenant: t.ID, ID: s.VM.ID, Name: s.VM.Name}
		}
		if !s.Since.IsZero() {
			share.Since = &s.Since
		}
		if s.Party == responsibility.Provider {
			row.Provider = append(row.Provider, share)
		} else {
			row.Customer = append(row.Customer, share)
		}
	}
	for _, n := range counts {
		if n.Duty == r.Duty.ID {
			count(&row.Verdicts, n.Verdict, n.Count)
			if n.Party == string(responsibility.Provider) {
				count(&row.ProviderVerdicts, n.Verdict, n.Count)
			}
		}
	}
	row.Worst = worst(row.Verdicts)
	return row
}

// worst is the verdict that calls for most attention.
func worst(c api.Counts) string {
	for _, v := range []struct {
		n    int
		name evidence.Verdict
	}{{c.NotMet, evidence.NotMet}, {c.Unknown, evidence.Unknown}, {c.Waived, evidence.Waived}, {c.Met, evidence.Met}, {c.NotApplicable, evidence.NotApplicable}} {
		if v.n > 0 {
			return string(v.name)
		}
	}
	return ""
}

// waiting lists the stores that take no records now, by name.
func (a *API) waiting() []api.Waiting {
	out := []api.Waiting{}
	for name, f := range a.cfg.Ingest.Status().Faults {
		out = append(out, api.Waiting{Store: name, Since: f.Since})
	}
	slices.SortFunc(out, func(x, y api.Waiting) int { return strings.Compare(x.Store, y.Store) })
	return out
}
