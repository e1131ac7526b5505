package console

import (
	"net/http"
	"slices"
	"strings"

	"github.com/demarc/demarc/api"
)

// doneReviews is how many signed reviews the list shows.
const doneReviews = 50

var reviewTitles = map[string]string{"logs": "Log review", "network": "Network review"}

var reviewSubjects = map[string]string{
	"logs":    "administrative acts, logins and sessions since the last review",
	"network": "what listens, and what the networks let through, against what is declared",
}

// reviewLine is a review with its words.
type reviewLine struct {
	api.Review
	Title, What, By, Path string
	Late                  bool
}

type reviewsPage struct {
	// Tenant is empty for the provider's own.
	Tenant    string
	Due, Done []reviewLine
	Plans     []api.ReviewPlan
	// MaySchedule: the visitor may change how often.
	MaySchedule bool
	Action      string
	Problem     *problemPage
}

func (v *visit) reviewPath(rest ...string) string {
	if v.tenant() == "" {
		return pathOf(append([]string{"reviews"}, rest...)...)
	}
	return pathOf(append([]string{"tenants", v.tenant(), "reviews"}, rest...)...)
}

func (c *Console) reviewLine(v *visit, r api.Review, names map[string]string) reviewLine {
	l := reviewLine{
		Review: r, Title: orElse(reviewTitles[r.Kind], r.Kind+" review"), What: reviewSubjects[r.Kind], Path: v.reviewPath(r.ID),
		By: actor(r.SignedBy, names),
	}
	l.Late = r.State == "overdue" || r.SignedAt == nil && c.cfg.Now().After(r.DueAt)
	return l
}

func (c *Console) reviewsPage(v *visit) (*reviewsPage, error) {
	page := &reviewsPage{Tenant: v.tenant(), Action: v.reviewPath(), MaySchedule: v.mayAtHome("schedule-reviews")}
	if v.tenant() != "" {
		t, err := v.client.Tenant(v, v.tenant())
		if err != nil {
			return nil, err
		}
		page.MaySchedule = v.may("schedule-reviews", t)
	}
	names, err := knownNames(v)
	if err != nil {
		return nil, err
	}
	for r, err := range v.client.Reviews(v, v.tenant()) {
		if err != nil {
			return nil, err
		}
		if l := c.reviewLine(v, r, names); r.SignedAt == nil {
			page.Due = append(page.Due, l)
		} else if page.Done = append(page.Done, l); len(page.Done) == doneReviews {
			break
		}
	}
	slices.SortStableFunc(page.Due, func(a, b reviewLine) int { return a.DueAt.Compare(b.DueAt) })
	if page.Plans, err = api.Collect(v.client.ReviewPlans(v, v.tenant())); err != nil && !absent(err) {
		return nil, err
	}
	return page, nil
}

func (c *Console) reviews(v *visit) error {
	page, err := c.reviewsPage(v)
	if err != nil {
		return err
	}
	c.render(v, http.StatusOK, "reviews", "Reviews", page)
	return nil
}

// schedule changes how often a review is due.
func (c *Console) schedule(v *visit) error {
	days, err := wholeNumber(v.r.PostForm.Get("days"))
	if err == nil {
		_, err = v.client.SetReviewInterval(v, v.tenant(), v.r.PostForm.Get("kind"), api.ReviewInterval{EveryDays: int(days)})
	}
	if err == nil {
		http.Redirect(v.w, v.r, v.reviewPath(), http.StatusSeeOther)
		return nil
	}
	page, broken := c.reviewsPage(v)
	if broken != nil {
		return broken
	}
	return c.again(v, err, "reviews", "Reviews", func(p *problemPage) any { page.Problem = p; return page })
}

type reviewPage struct {
	Tenant, Back string
	Review       reviewLine
	Items        []reviewItem
	MaySignOff   bool
	Notes        string
	Outcome      string
	Problem      *problemPage
}

// reviewItem is something to look at, and whether it is ticked.
type reviewItem struct {
	api.ReviewItem
	Seen   bool
	Ledger string
}

func (c *Console) reviewPage(v *visit) (*reviewPage, error) {
	r, err := v.client.Review(v, v.tenant(), v.r.PathValue("review"))
	if err != nil {
		return nil, err
	}
	names, err := knownNames(v)
	if err != nil {
		return nil, err
	}
	page := &reviewPage{Tenant: v.tenant(), Back: v.reviewPath(), Review: c.reviewLine(v, r, names)}
	if v.tenant() == "" {
		page.MaySignOff = v.mayAtHome("review")
	} else {
		t, err := v.client.Tenant(v, v.tenant())
		if err != nil {
			return nil, err
		}
		page.MaySignOff = v.may("review", t)
	}
	items := r.Items
	if r.SignedAt != nil {
		items = r.LookedAt
	}
	for _, i := range items {
		page.Items = append(page.Items, reviewItem{ReviewItem: i})
	}
	return page, nil
}

func (c *Console) review(v *visit) error {
	page, err := c.reviewPage(v)
	if err != nil {
		return err
	}
	c.render(v, http.StatusOK, "review", page.Review.Title, page)
	return nil
}

// signOff sends what was ticked, as the reviewer saw it: the form carries the
// digests of the page that was read, not those of now.
func (c *Console) signOff(v *visit) error {
	page, err := c.reviewPage(v)
	if err != nil {
		return err
	}
	form := v.r.PostForm
	in := api.ReviewSignOff{Outcome: form.Get("outcome"), Notes: strings.TrimSpace(form.Get("notes")), LookedAt: []api.ReviewSeen{}}
	page.Notes, page.Outcome = in.Notes, in.Outcome
	if in.Through, err = wholeNumber(form.Get("through")); err == nil {
		for _, s := range form["looked"] {
			digest, item, _ := strings.Cut(s, " ")
			in.LookedAt = append(in.LookedAt, api.ReviewSeen{Item: item, Digest: digest})
			for i := range page.Items {
				page.Items[i].Seen = page.Items[i].Seen || page.Items[i].ID == item
			}
		}
		_, err = v.client.SignOffReview(v, v.tenant(), page.Review.ID, in)
	}
	if err == nil {
		http.Redirect(v.w, v.r, page.Back, http.StatusSeeOther)
		return nil
	}
	return c.again(v, err, "review", page.Review.Title, func(p *problemPage) any { page.Problem = p; return page })
}

// privilegesPage reports rights that nobody uses.
type privilegesPage struct {
	Tenant string
	api.Privileges
	Names map[string]string
}

func (c *Console) privileges(v *visit) error {
	p, err := v.client.Privileges(v, v.tenant())
	if err != nil {
		return err
	}
	names, err := knownNames(v)
	if err != nil {
		return err
	}
	c.render(v, http.StatusOK, "privileges", "Privileges", privilegesPage{v.tenant(), p, names})
	return nil
}

// activityPage is what the provider did, newest first.
type activityPage struct {
	Tenant, Events string
	Acts           []act
	More           bool
}

type act struct {
	api.Activity
	// Loud acts are those that a customer must not miss.
	Loud bool
	Path string
}

const activityLimit = 200

func (c *Console) activity(v *visit) error {
	t, err := v.client.Tenant(v, v.tenant())
	if err != nil {
		return err
	}
	page := activityPage{Tenant: t.Name, Events: "/v1/events?tenant=" + t.ID}
	for a, err := range v.client.Activity(v, t.Name, "") {
		if err != nil {
			return err
		}
		if page.More = len(page.Acts) == activityLimit; page.More {
			break
		}
		page.Acts = append(page.Acts, act{Activity: a, Loud: loudAct(a.Action), Path: subjectPath(t.Name, a.Subject)})
	}
	c.render(v, http.StatusOK, "activity", "Activity", page)
	return nil
}

func loudAct(action string) bool {
	return strings.Contains(action, "break") || strings.HasPrefix(action, "incident.")
}

// subjectPath is the page about a ledger entry's subject; empty without one.
func subjectPath(tenant, subject string) string {
	kind, id, _ := strings.Cut(subject, "/")
	if id == "" {
		return ""
	}
	page, ok := map[string]string{"grant": "access", "decision": "decisions", "recording": "sessions", "session": "sessions", "vm": "vms", "review": "reviews"}[kind]
	if !ok {
		return ""
	}
	return pathOf("tenants", tenant, page, id)
}

type incidentsPage struct {
	Tenant       string
	Open, Closed []incidentLine
	MayHandle    bool
	Problem      *problemPage
	Note, NoteOf string
}

type incidentLine struct {
	api.Incident
	Title, By string
}

var incidentTitles = map[string]string{"guest-login": "Somebody of the provider logged in to a guest"}

func (c *Console) incidentsPage(v *visit) (*incidentsPage, error) {
	t, err := v.client.Tenant(v, v.tenant())
	if err != nil {
		return nil, err
	}
	names, err := knownNames(v)
	if err != nil {
		return nil, err
	}
	page := &incidentsPage{Tenant: t.Name, MayHandle: v.may("close-incidents", t)}
	for i, err := range v.client.Incidents(v, t.Name) {
		if err != nil {
			return nil, err
		}
		l := incidentLine{Incident: i, Title: orElse(incidentTitles[i.Kind], strings.ReplaceAll(i.Kind, "-", " ")), By: actor(i.ClosedBy, names)}
		if i.State == "open" {
			page.Open = append(page.Open, l)
		} else if page.Closed = append(page.Closed, l); len(page.Closed) == rowLimit {
			break
		}
	}
	return page, nil
}

func (c *Console) incidents(v *visit) error {
	page, err := c.incidentsPage(v)
	if err != nil {
		return err
	}
	c.render(v, http.StatusOK, "incidents", "Incidents", page)
	return nil
}

func (c *Console) closeIncident(v *visit) error {
	page, err := c.incidentsPage(v)
	if err != nil {
		return err
	}
	page.NoteOf, page.Note = v.r.PostForm.Get("id"), strings.TrimSpace(v.r.PostForm.Get("text"))
	if _, err = v.client.CloseIncident(v, page.Tenant, page.NoteOf, page.Note); err == nil {
		http.Redirect(v.w, v.r, pathOf("tenants", page.Tenant, "incidents"), http.StatusSeeOther)
		return nil
	}
	return c.again(v, err, "incidents", "Incidents", func(p *problemPage) any { page.Problem = p; return page })
}
