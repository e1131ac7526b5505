package console

import (
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/demarc/demarc/api"
)

// dutyPage is everything about one duty of a tenant.
type dutyPage struct {
	Tenant string
	Duty   api.Duty
	// About is the subject that the page explains: a VM, a VDC or the tenant.
	// Without a name no subject is chosen.
	About api.Subject
	// Explained is nil where no subject is chosen, or none may be shown.
	Explained *api.Explanation
	Timeline  timeline
	// Past are the replaced verdicts, newest first.
	Past []api.PastVerdict
	// Subjects are the verdicts of all VMs or VDCs of the tenant.
	// There may be more than are shown.
	Subjects []api.Verdict
	More     bool
	Counts   api.Counts
	// Withheld says that the duty is about the provider's own estate and the
	// visitor is not of the provider.
	Withheld bool
	Forms    []statementForm
	MayWrite bool
	// Problem is why a statement was not withdrawn.
	Problem *problemPage
}

// statementForm is the form of an attestation or a waiver with what was sent.
type statementForm struct {
	Type, Text, Expires string
	// Earliest and Latest bound the expiry, as dates.
	Earliest, Latest string
	Problem          *problemPage
}

func (c *Console) duty(v *visit) error {
	page, err := c.dutyPage(v)
	if err != nil {
		return err
	}
	c.render(v, http.StatusOK, "duty", page.Duty.ID, page)
	return nil
}

func (c *Console) dutyPage(v *visit) (*dutyPage, error) {
	d, err := c.findDuty(v)
	if err != nil {
		return nil, err
	}
	t, err := v.client.Tenant(v, v.tenant())
	if err != nil {
		return nil, err
	}
	page := &dutyPage{Tenant: t.Name, Duty: d, About: api.Subject{Scope: "tenant", ID: t.ID, Name: t.Name}}
	q := v.r.URL.Query()
	switch d.Scope {
	case "vm", "vdc":
		page.About = api.Subject{Scope: d.Scope, Name: q.Get(d.Scope)}
		if err := page.subjects(v); err != nil {
			return nil, err
		}
		if page.About.Name == "" && len(page.Subjects) == 1 {
			page.About.Name = page.Subjects[0].Subject.Name
		}
	case "provider":
		page.About = api.Subject{Scope: "provider", Name: "the provider"}
	}
	if err := c.explain(v, page); err != nil {
		return nil, err
	}
	if d.Scope != "provider" {
		page.Forms = c.forms(d, v.may("attest", t), v.may("waive", t))
	}
	page.MayWrite = len(page.Forms) > 0
	return page, nil
}

// subjects reads the verdicts of all subjects, up to a bound, and keeps those
// that call for attention most.
func (p *dutyPage) subjects(v *visit) error {
	const most = 5000
	for j, err := range v.client.Posture(v, api.PostureFilter{Tenant: p.Tenant, Duty: p.Duty.ID}) {
		if err != nil {
			return err
		}
		if p.More = len(p.Subjects) == most; p.More {
			break
		}
		p.Subjects = append(p.Subjects, j)
		p.Counts = plus(p.Counts, one(j.Verdict))
	}
	slices.SortStableFunc(p.Subjects, func(a, b api.Verdict) int { return attention(a.Verdict) - attention(b.Verdict) })
	if len(p.Subjects) > rowLimit {
		p.Subjects, p.More = p.Subjects[:rowLimit], true
	}
	return nil
}

// attention sorts verdicts, what calls for it most first.
func attention(verdict string) int { return slices.Index(verdicts, verdict) }

func (c *Console) findDuty(v *visit) (api.Duty, error) {
	id := v.r.PathValue("control") + "/" + v.r.PathValue("clause")
	for d, err := range v.client.Duties(v, "") {
		if err != nil {
			return d, err
		}
		if d.ID == id {
			return d, nil
		}
	}
	return api.Duty{}, &api.Problem{
		Status: http.StatusNotFound, Title: "There is no such duty",
		Detail: "The catalogue in force has no duty of this name. An older catalogue may have had it.",
	}
}

// explain fills in what the API tells about the chosen subject.
func (c *Console) explain(v *visit, page *dutyPage) error {
	var vm, vdc, tenant string
	switch page.About.Scope {
	case "vm":
		vm, tenant = page.About.Name, page.Tenant
	case "vdc":
		vdc, tenant = page.About.Name, page.Tenant
	case "tenant":
		tenant = page.Tenant
	case "provider":
		if !v.ofProvider() {
			page.Withheld = true
			return nil
		}
	}
	if page.About.Name == "" {
		return nil
	}
	x, err := v.client.Explain(v, page.Duty.ID, tenant, vdc, vm)
	if err != nil {
		return err
	}
	page.Explained = &x
	page.Timeline = history(x.History, x.Verdict, c.cfg.Now())
	page.Past = slices.Clone(x.History)
	slices.SortFunc(page.Past, func(a, b api.PastVerdict) int { return b.From.Compare(a.From) })
	return nil
}

// forms offers what the API would take: only some duties can be attested.
func (c *Console) forms(d api.Duty, attest, waive bool) []statementForm {
	now := c.cfg.Now().UTC()
	bounds := statementForm{
		Earliest: now.Format(time.DateOnly), Latest: now.AddDate(0, 0, 365).Format(time.DateOnly),
		Expires: now.AddDate(0, 3, 0).Format(time.DateOnly),
	}
	var out []statementForm
	if attest && slices.Contains(d.Mode, "attested") {
		f := bounds
		f.Type = "attestation"
		out = append(out, f)
	}
	if waive {
		bounds.Type = "waiver"
		out = append(out, bounds)
	}
	return out
}

// state makes or withdraws an attestation or a waiver, as a form says.
func (c *Console) state(v *visit) error {
	page, err := c.dutyPage(v)
	if err != nil {
		return err
	}
	form := v.r.PostForm
	fault, next := &page.Problem, dutyPath(page.Tenant, page.Duty.ID, page.About)
	if id := form.Get("withdraw"); id != "" {
		err = v.client.WithdrawStatement(v, page.Tenant, listOf(form.Get("type")), id)
	} else {
		i := slices.IndexFunc(page.Forms, func(f statementForm) bool { return f.Type == form.Get("type") })
		if i < 0 {
			return &api.Problem{Status: http.StatusForbidden, Title: "This cannot be stated", Detail: "You may not state this about the duty, or the duty cannot be attested."}
		}
		sent := &page.Forms[i]
		sent.Text, sent.Expires = form.Get("text"), form.Get("expires")
		fault = &sent.Problem
		var decision string
		if decision, err = c.send(v, page, *sent); decision != "" {
			next = pathOf("tenants", page.Tenant, "decisions", decision)
		}
	}
	switch s := status(err); {
	case err == nil:
		http.Redirect(v.w, v.r, next, http.StatusSeeOther)
		return nil
	case s == http.StatusUnauthorized, s >= 500 && s != http.StatusServiceUnavailable:
		return err
	}
	problem := describe(err)
	*fault = &problem
	c.render(v, problem.Status, "duty", page.Duty.ID, page)
	return nil
}

// listOf is the API's list of a type of statement.
func listOf(kind string) string {
	if kind == "attestation" {
		return api.Attestations
	}
	return api.Waivers
}

// send states what the form says. A waiver counts only when it is signed, as the
// decision that is returned.
func (c *Console) send(v *visit, page *dutyPage, f statementForm) (decision string, err error) {
	expires, err := dayEnd(f.Expires)
	if err != nil {
		return "", err
	}
	in := api.NewStatement{Duty: page.Duty.ID, Text: strings.TrimSpace(f.Text), Expires: expires}
	switch page.About.Scope {
	case "vm":
		in.VM = page.About.Name
	case "vdc":
		in.VDC = page.About.Name
	}
	if f.Type == "waiver" {
		d, err := v.client.ProposeWaiver(v, page.Tenant, in)
		return d.ID, err
	}
	_, err = v.client.CreateStatement(v, page.Tenant, api.Attestations, in)
	return "", err
}

// dayEnd reads a date as the last second of that day in UTC.
func dayEnd(s string) (time.Time, error) {
	d, err := time.Parse(time.DateOnly, s)
	if err != nil {
		return d, &api.Problem{
			Status: http.StatusUnprocessableEntity, Title: "The date is missing or malformed",
			Detail: "Give a day such as 2026-03-31.",
		}
	}
	return d.AddDate(0, 0, 1).Add(-time.Second), nil
}
