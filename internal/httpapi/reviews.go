package httpapi

import (
	"errors"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/demarc/demarc/api"
	"github.com/demarc/demarc/internal/access"
	"github.com/demarc/demarc/internal/review"
	"github.com/demarc/demarc/internal/store"
)

// ReviewPath names a review.
type ReviewPath struct {
	Review string `path:"review" doc:"id of the review" maxLength:"100"`
}

// PlanPath names a kind of review.
type PlanPath struct {
	Plan string `path:"plan" doc:"logs or network" maxLength:"20"`
}

// addReviews adds the reviews of tenants and the same for the provider.
func (a *API) addReviews() {
	add(a, tenant(access.Look), get("list-reviews", "/v1/tenants/{tenant}/reviews", "Reviews, newest first"), func(c call, in *struct {
		TenantPath
		PageParams
	}) (*list[api.Review], error) {
		return a.reviews(c, in.PageParams)
	})
	add(a, tenant(access.Look), get("get-review", "/v1/tenants/{tenant}/reviews/{review}", "A review with what there is to look at"), func(c call, in *struct {
		TenantPath
		ReviewPath
	}) (*body[api.Review], error) {
		return a.review(c, in.Review)
	})
	add(a, tenant(access.Review), post("sign-off-review", "/v1/tenants/{tenant}/reviews/{review}/sign-off", "Sign a review off, for good"), func(c call, in *struct {
		TenantPath
		ReviewPath
		Body api.ReviewSignOff
	}) (*body[api.Review], error) {
		return a.signOff(c, in.Review, in.Body)
	})
	add(a, tenant(access.Look), get("list-review-plans", "/v1/tenants/{tenant}/review-plans", "How often reviews are due"), func(c call, in *struct{ TenantPath }) (*list[api.ReviewPlan], error) {
		return a.reviewPlans(c)
	})
	add(a, tenant(access.ScheduleReviews), put("set-review-interval", "/v1/tenants/{tenant}/review-plans/{plan}", "Change how often a review is due"), func(c call, in *struct {
		TenantPath
		PlanPath
		Body api.ReviewInterval
	}) (*body[api.ReviewPlan], error) {
		return a.setInterval(c, in.Plan, in.Body)
	})

	add(a, provider(access.Look), get("list-provider-reviews", "/v1/provider/reviews", "Reviews of the provider's own logs, newest first"),
		func(c call, in *struct{ PageParams }) (*list[api.Review], error) { return a.reviews(c, in.PageParams) })
	add(a, provider(access.Look), get("get-provider-review", "/v1/provider/reviews/{review}", "A review of the provider with what there is to look at"),
		func(c call, in *struct{ ReviewPath }) (*body[api.Review], error) { return a.review(c, in.Review) })
	add(a, provider(access.Review), post("sign-off-provider-review", "/v1/provider/reviews/{review}/sign-off", "Sign a review of the provider off, for good"),
		func(c call, in *struct {
			ReviewPath
			Body api.ReviewSignOff
		}) (*body[api.Review], error) {
			return a.signOff(c, in.Review, in.Body)
		})
	add(a, provider(access.Look), get("list-provider-review-plans", "/v1/provider/review-plans", "How often reviews of the provider are due"),
		func(c call, _ *struct{}) (*list[api.ReviewPlan], error) { return a.reviewPlans(c) })
	add(a, provider(access.ScheduleReviews), put("set-provider-review-interval", "/v1/provider/review-plans/{plan}", "Change how often a review of the provider is due"),
		func(c call, in *struct {
			PlanPath
			Body api.ReviewInterval
		}) (*body[api.ReviewPlan], error) {
			return a.setInterval(c, in.Plan, in.Body)
		})
}

func put(id, path, summary string) huma.Operation {
	return huma.Operation{OperationID: id, Method: http.MethodPut, Path: path, Summary: summary}
}

func (a *API) reviews(c call, pp PageParams) (*list[api.Review], error) {
	p, err := pp.page()
	if err != nil {
		return nil, err
	}
	all, err := a.cfg.Reviews.List(c, c.tenant.ID, p)
	if err != nil {
		return nil, err
	}
	return paged(all, p.Limit, func(r store.Review) string { return r.ID }, func(r store.Review) api.Review {
		return reviewOut(r, a.cfg.Now())
	}), nil
}

func (a *API) review(c call, id string) (*body[api.Review], error) {
	s, err := a.cfg.Reviews.Get(c, c.tenant.ID, id)
	return plain(sheetOut(s, a.cfg.Now()), err)
}

func (a *API) signOff(c call, id string, in api.ReviewSignOff) (*body[api.Review], error) {
	off := review.SignOff{Through: in.Through, Outcome: in.Outcome, Notes: in.Notes}
	for _, s := range in.LookedAt {
		off.LookedAt = append(off.LookedAt, review.Seen(s))
	}
	r, err := a.cfg.Reviews.SignOff(c, c.by, c.tenant.ID, id, off)
	if errors.Is(err, review.ErrPersonOnly) {
		return nil, huma.Error403Forbidden(err.Error())
	}
	return plain(reviewOut(r, a.cfg.Now()), err)
}

func (a *API) reviewPlans(c call) (*list[api.ReviewPlan], error) {
	plans, err := a.cfg.Reviews.Plans(c, c.tenant.ID)
	if err != nil {
		return nil, err
	}
	return paged(plans, 0, nil, reviewPlanOut), nil
}

func (a *API) setInterval(c call, kind string, in api.ReviewInterval) (*body[api.ReviewPlan], error) {
	p, err := a.cfg.Reviews.SetInterval(c, c.by, c.tenant.ID, kind, in.EveryDays)
	return plain(reviewPlanOut(p), err)
}

func reviewPlanOut(p store.ReviewPlan) api.ReviewPlan {
	bounds := review.Intervals[p.Kind]
	return api.ReviewPlan{
		Kind: p.Kind, EveryDays: p.EveryDays, Least: bounds.Least, Most: bounds.Most, SignedAt: p.Signed, DueAt: review.DueOf(p),
	}
}

func reviewOut(r store.Review, now time.Time) api.Review {
	out := api.Review{
		ID: r.ID, Tenant: r.Tenant, Kind: r.Kind, State: "open", OpenedAt: r.Opened, DueAt: r.Due, SignedAt: r.Signed, SignedBy: r.SignedBy,
		Outcome: r.Outcome, Notes: r.Notes, Through: r.Through, Entries: max(0, r.Through-r.After),
	}
	switch {
	case r.Signed != nil:
		out.State = "signed"
	case now.After(r.Due):
		out.State = "overdue"
	}
	for _, l := range r.LookedAt {
		out.LookedAt = append(out.LookedAt, api.ReviewItem{ID: l.Item, Title: l.Title, Count: l.Count, From: l.From, To: l.To, Digest: l.Digest})
	}
	return out
}

func sheetOut(s review.Sheet, now time.Time) api.Review {
	out := reviewOut(s.Review, now)
	out.EveryDays, out.Through, out.Entries, out.Omitted = s.EveryDays, s.Through, s.Entries, s.Omitted
	for _, i := range s.Items {
		out.Items = append(out.Items, api.ReviewItem{
			ID: i.ID, Title: i.Title, Unusual: i.Unusual, Count: i.Count, Lines: i.Lines, From: i.From, To: i.To, Digest: i.Digest,
		})
	}
	return out
}
