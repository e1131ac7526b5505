package cli

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/demarc/demarc/api"
)

type reviewCmd struct {
	List    reviewListCmd    `cmd:"" help:"List reviews, newest first."`
	Show    reviewShowCmd    `cmd:"" help:"Show a review with what there is to look at."`
	SignOff reviewSignOffCmd `cmd:"" name:"sign-off" help:"Sign a review off, for good."`
	Plan    reviewPlanCmd    `cmd:"" help:"Show or change how often reviews are due."`
}

type reviewListCmd struct{ ofParty }

type reviewShowCmd struct {
	ID string `arg:"" name:"id" help:"Its id, or the kind of the open one: logs or network."`
	ofParty
}

// Help is shown below the flags.
func (reviewShowCmd) Help() string {
	return `Example:
  demarc review show network --tenant acme`
}

type reviewSignOffCmd struct {
	ID string `arg:"" name:"id" help:"Its id, or the kind of the open one: logs or network."`
	ofParty
	LookedAt []string `help:"An item that you looked at; repeatable." placeholder:"ITEM" sep:"none"`
	All      bool     `help:"You looked at every item."`
	FollowUp bool     `help:"Something is to be followed up; say what with --notes."`
	Notes    string   `help:"What you have to say." placeholder:"TEXT"`
	consent
}

// Help is shown below the flags.
func (reviewSignOffCmd) Help() string {
	return `Shows what there is to look at first, and asks. A review of nothing is none: name what you looked at.

Examples:
  demarc review sign-off network --tenant acme --all
  demarc review sign-off logs --tenant acme --looked-at entries/contact.read --follow-up --notes "Who read the contacts on Sunday?"`
}

type reviewPlanCmd struct {
	Kind  string `arg:"" optional:"" enum:"logs,network," default:"" help:"Which reviews to change: logs or network."`
	Every int    `help:"Due every so many days." placeholder:"DAYS"`
	ofParty
}

var reviewColumns = []column[api.Review]{
	{key: "id", head: "ID", text: func(v api.Review) string { return v.ID }},
	{key: "kind", head: "KIND", text: func(v api.Review) string { return v.Kind }},
	{key: "state", head: "STATE", text: func(v api.Review) string { return v.State }, hue: reviewHue},
	{key: "opened_at", head: "OPENED", text: func(v api.Review) string { return stamp(v.OpenedAt) }, show: func(v api.Review) string { return clock(v.OpenedAt) }},
	{key: "due_at", head: "DUE", text: func(v api.Review) string { return stamp(v.DueAt) }, show: func(v api.Review) string { return clock(v.DueAt) }},
	{key: "signed_at", head: "SIGNED OFF", text: func(v api.Review) string { return stampOf(v.SignedAt) }, show: func(v api.Review) string { return clockOf(v.SignedAt) }},
	{key: "signed_by", head: "BY", fit: cut, text: func(v api.Review) string { return v.SignedBy }},
	{key: "outcome", head: "OUTCOME", text: func(v api.Review) string { return v.Outcome }},
	{key: "entries", text: func(v api.Review) string { return strconv.FormatInt(v.Entries, 10) }},
	{key: "notes", head: "NOTES", fit: flow, text: func(v api.Review) string { return v.Notes }},
}

func reviewHue(v api.Review) hue {
	switch v.State {
	case "overdue":
		return red
	case "open":
		return yellow
	}
	return plain
}

var itemColumns = []column[api.ReviewItem]{
	{key: "id", head: "ITEM", text: func(v api.ReviewItem) string { return v.ID }},
	{key: "title", head: "WHAT", fit: flow, text: func(v api.ReviewItem) string { return v.Title }},
	{key: "unusual", head: "UNUSUAL", fit: flow, text: func(v api.ReviewItem) string { return v.Unusual }, hue: func(api.ReviewItem) hue { return yellow }},
	{key: "count", text: func(v api.ReviewItem) string { return strconv.Itoa(v.Count) }},
	{key: "from", text: func(v api.ReviewItem) string { return indexOf(v.From) }},
	{key: "to", text: func(v api.ReviewItem) string { return indexOf(v.To) }},
	{key: "digest", text: func(v api.ReviewItem) string { return v.Digest }},
}

func indexOf(i *int64) string {
	if i == nil {
		return ""
	}
	return strconv.FormatInt(*i, 10)
}

var planColumns = []column[api.ReviewPlan]{
	{key: "kind", head: "KIND", text: func(v api.ReviewPlan) string { return v.Kind }},
	{key: "every_days", head: "EVERY", text: func(v api.ReviewPlan) string { return strconv.Itoa(v.EveryDays) + " days" }},
	{key: "least", head: "BETWEEN", text: func(v api.ReviewPlan) string { return fmt.Sprintf("%d and %d", v.Least, v.Most) }},
	{key: "signed_at", head: "SIGNED OFF", text: func(v api.ReviewPlan) string { return stampOf(v.SignedAt) }, show: func(v api.ReviewPlan) string { return clockOf(v.SignedAt) }},
	{key: "due_at", head: "DUE", text: func(v api.ReviewPlan) string { return stamp(v.DueAt) }, show: func(v api.ReviewPlan) string { return clock(v.DueAt) }},
}

// Run lists reviews.
func (c *reviewListCmd) Run(ctx context.Context, s *session) error {
	client, tenant, about, err := s.stater(ctx, c.ofParty)
	if err != nil {
		return err
	}
	list, err := api.Collect(client.Reviews(ctx, tenant))
	if err != nil {
		return fmt.Errorf("listing reviews of %s: %w", about, err)
	}
	return printList(s, list, reviewColumns, "There is no review yet.")
}

// review reads the review of that id, or the open one of that kind.
func (s *session) review(ctx context.Context, party ofParty, ref string) (client *api.Client, tenant string, r api.Review, err error) {
	client, tenant, about, err := s.stater(ctx, party)
	if err != nil {
		return nil, "", r, err
	}
	id := ref
	if ref == "logs" || ref == "network" {
		id = ""
		for v, err := range client.Reviews(ctx, tenant) {
			if err != nil {
				return nil, "", r, fmt.Errorf("listing reviews of %s: %w", about, err)
			}
			if v.Kind == ref && v.State != "signed" {
				id = v.ID
				break
			}
		}
		if id == "" {
			return nil, "", r, fmt.Errorf("no review of %s of %s is open", ref, about)
		}
	}
	if r, err = client.Review(ctx, tenant, id); err != nil {
		return nil, "", r, fmt.Errorf("reading the review: %w", err)
	}
	return client, tenant, r, nil
}

// Run shows a review.
func (c *reviewShowCmd) Run(ctx context.Context, s *session) error {
	_, _, r, err := s.review(ctx, c.ofParty, c.ID)
	if err != nil {
		return err
	}
	return s.showReview(r)
}

func (s *session) showReview(r api.Review) error {
	if err := printOne(s, r, reviewColumns); err != nil || s.flags.Output != "table" {
		return err
	}
	items, empty := r.Items, "There is nothing to look at."
	if r.State == "signed" {
		items, empty = r.LookedAt, "Nothing was looked at."
	}
	if err := s.print("\n"); err != nil {
		return err
	}
	if err := printList(s, items, itemColumns, empty); err != nil {
		return err
	}
	var b strings.Builder
	for _, i := range items {
		if len(i.Lines) == 0 {
			continue
		}
		b.WriteString("\n" + bold.paint(clean(i.Title), s.colour()) + "\n")
		for _, l := range i.Lines {
			b.WriteString("  " + clean(l) + "\n")
		}
	}
	if r.Omitted > 0 {
		fmt.Fprintf(&b, "\n%d older entries are not counted above: look at them with demarc ledger log.\n", r.Omitted)
	}
	return s.print(b.String())
}

// Run signs a review off.
func (c *reviewSignOffCmd) Run(ctx context.Context, s *session) error {
	client, tenant, r, err := s.review(ctx, c.ofParty, c.ID)
	if err != nil {
		return err
	}
	if r.State == "signed" {
		return fmt.Errorf("review %s was signed off at %s", r.ID, clockOf(r.SignedAt))
	}
	in := api.ReviewSignOff{Through: r.Through, Outcome: "fine", Notes: c.Notes, LookedAt: []api.ReviewSeen{}}
	if c.FollowUp {
		in.Outcome = "follow-up"
	}
	for _, ref := range c.LookedAt {
		if !slices.ContainsFunc(r.Items, func(i api.ReviewItem) bool { return i.ID == ref }) {
			return usage("`demarc review show "+c.ID+"` lists the items", "the review has no item %q", ref)
		}
	}
	for _, i := range r.Items {
		if c.All || slices.Contains(c.LookedAt, i.ID) {
			in.LookedAt = append(in.LookedAt, api.ReviewSeen{Item: i.ID, Digest: i.Digest})
		}
	}
	if len(in.LookedAt) == 0 {
		return usage("name it with --looked-at ITEM, or --all", "a sign-off says what was looked at")
	}
	if !c.Yes && s.flags.Output == "table" {
		if err := s.showReview(r); err != nil {
			return err
		}
	}
	if err := s.confirm(c.consent, "You looked at %d of %d items and sign this review off, for good.", len(in.LookedAt), len(r.Items)); err != nil {
		return err
	}
	done, err := client.SignOffReview(ctx, tenant, r.ID, in)
	if err != nil {
		return fmt.Errorf("signing the review off: %w", err)
	}
	return printOne(s, done, reviewColumns)
}

// Run shows the plans, or changes one.
func (c *reviewPlanCmd) Run(ctx context.Context, s *session) error {
	if (c.Kind == "") != (c.Every == 0) {
		return usage("as in: demarc review plan logs --every 14", "a change names the reviews and how often they are due")
	}
	client, tenant, about, err := s.stater(ctx, c.ofParty)
	if err != nil {
		return err
	}
	if c.Kind != "" {
		p, err := client.SetReviewInterval(ctx, tenant, c.Kind, api.ReviewInterval{EveryDays: c.Every})
		if err != nil {
			return fmt.Errorf("changing how often %s are reviewed: %w", c.Kind, err)
		}
		return printOne(s, p, planColumns)
	}
	plans, err := api.Collect(client.ReviewPlans(ctx, tenant))
	if err != nil {
		return fmt.Errorf("reading how often reviews of %s are due: %w", about, err)
	}
	return printList(s, plans, planColumns, "No review is planned yet.")
}
