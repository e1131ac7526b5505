package responsibility

import (
	"slices"
	"time"
)

// Subscription is a managed service bought for some VMs of a tenant from a
// moment to a moment. Its past is never changed: it can only be ended, in the
// present or the future.
type Subscription struct {
	ID      string `json:"id"`
	Tenant  string `json:"tenant"`
	Service string `json:"service"`
	// Covers says which VMs: all of the tenant, those of one VDC, or one.
	Covers Coverage `json:"covers"`
	// From is when it begins; To when it ends, nil while no end is set. It
	// counts in [From, To).
	From time.Time  `json:"from"`
	To   *time.Time `json:"to,omitempty"`
}

// Coverage says which VMs a subscription covers. Exactly one member is set;
// All covers VMs that come later too.
type Coverage struct {
	All bool   `json:"all,omitempty"`
	VDC string `json:"vdc,omitempty"`
	VM  string `json:"vm,omitempty"`
}

// Covers reports whether s covers the VM in the VDC at t.
func (s Subscription) CoversAt(vm, vdc string, t time.Time) bool {
	if t.Before(s.From) || (s.To != nil && !t.Before(*s.To)) {
		return false
	}
	return s.Covers.All || (s.Covers.VDC != "" && s.Covers.VDC == vdc) || (s.Covers.VM != "" && s.Covers.VM == vm)
}

// Assignment is the answer to who is responsible for a duty.
type Assignment struct {
	Party Party `json:"party"`
	// Since is when the party became responsible; zero if it always was.
	Since time.Time `json:"since,omitzero"`
	// Subscription is the one that moved the duty, if one did.
	Subscription string `json:"subscription,omitempty"`
	// Service is the service of that subscription.
	Service string `json:"service,omitempty"`
}

// Responsible answers who is responsible for d concerning the VM at t, given
// the tenant's subscriptions. It is total: every duty has exactly one party at
// every moment, the duty's own unless a subscription covers the VM.
func Responsible(d Duty, vm, vdc string, subs []Subscription, t time.Time) Assignment {
	a := Assignment{Party: d.Party}
	if len(d.Services) == 0 {
		return a
	}
	for _, s := range subs {
		if !slices.Contains(d.Services, s.Service) {
			continue
		}
		if s.CoversAt(vm, vdc, t) {
			// Of several, the one that began first moved the duty.
			if a.Party != Provider || s.From.Before(a.Since) {
				a = Assignment{Party: Provider, Since: s.From, Subscription: s.ID, Service: s.Service}
			}
		}
	}
	if a.Party == Provider {
		a.Since = coveredSince(d, vm, vdc, subs, a.Since)
		return a
	}
	a.Since = lastEnd(d, vm, vdc, subs, t)
	return a
}

// coveredSince walks back over subscriptions that follow each other without a
// gap: renewing a service does not move the line.
func coveredSince(d Duty, vm, vdc string, subs []Subscription, since time.Time) time.Time {
	for moved := true; moved; {
		moved = false
		for _, s := range subs {
			if slices.Contains(d.Services, s.Service) && s.From.Before(since) && s.To != nil &&
				!s.To.Before(since) && s.CoversAt(vm, vdc, s.From) {
				since, moved = s.From, true
			}
		}
	}
	return since
}

// lastEnd is when the last subscription that covered the VM ended before t.
func lastEnd(d Duty, vm, vdc string, subs []Subscription, t time.Time) time.Time {
	var last time.Time
	for _, s := range subs {
		if slices.Contains(d.Services, s.Service) && s.To != nil && !s.To.After(t) && s.From.Before(*s.To) &&
			s.CoversAt(vm, vdc, s.From) && s.To.After(last) {
			last = *s.To
		}
	}
	return last
}
