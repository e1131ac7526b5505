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
