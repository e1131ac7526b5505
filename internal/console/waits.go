package console

import (
	"cmp"
	"iter"

	"github.com/demarc/demarc/api"
)

// waiting is something that waits for the visitor.
type waiting struct {
	Count int
	// Title says of what, in the singular.
	Title, Path string
	Loud        bool
}

// scanLimit bounds how much of a list is looked at for a badge.
const scanLimit = 200

// count counts what matters among the first of a list; nothing for those who may
// not see it.
func count[T any](list iter.Seq2[T, error], matters func(T) bool) (n int, err error) {
	seen := 0
	for x, err := range list {
		if absent(err) {
			return n, nil
		}
		if err != nil {
			return n, err
		}
		if matters(x) {
			n++
		}
		if seen++; seen == scanLimit {
			break
		}
	}
	return n, nil
}

// waitsAt lists what waits for the visitor in a tenant.
func (v *visit) waitsAt(t api.Tenant) (out []waiting, err error) {
	add := func(n int, fault error, title string, loud bool, segments ...string) {
		if err = cmp.Or(err, fault); n > 0 {
			out = append(out, waiting{n, title, pathOf(append([]string{"tenants", t.Name}, segments...)...), loud})
		}
	}
	incident := func(i api.Incident) bool { return i.State == "open" }
	n, fault := count(v.client.Incidents(v, t.Name), incident)
	add(n, fault, "open incident", true, "incidents")
	if v.may("decide-access", t) {
		n, fault = count(v.client.Grants(v, t.Name, api.GrantFilter{}), func(g api.Grant) bool { return g.Notice == "given" && g.Holder != v.me.ID })
		add(n, fault, "break-glass notice to answer", true, "access")
		n, fault = count(v.client.Grants(v, t.Name, api.GrantFilter{State: "open"}), func(g api.Grant) bool { return g.State == "requested" && g.Holder != v.me.ID })
		add(n, fault, "request to decide", false, "access")
	}
	if v.may("sign-decision", t) {
		n, fault = count(v.client.Decisions(v, t.Name, "pending"), func(api.Decision) bool { return true })
		add(n, fault, "decision to sign", false, "decisions")
	}
	if v.may("review", t) {
		n, fault = count(v.client.Reviews(v, t.Name), func(r api.Review) bool { return r.SignedAt == nil })
		add(n, fault, "review to sign off", false, "reviews")
	}
	return out, err
}

// waitsAtHome lists what waits for somebody of the provider.
func (v *visit) waitsAtHome() (out []waiting, err error) {
	add := func(n int, fault error, title string, loud bool, path string) {
		if err = cmp.Or(err, fault); n > 0 {
			out = append(out, waiting{n, title, path, loud})
		}
	}
	mine := func(of func(api.Grant) bool) (int, error) {
		return count(v.client.AllGrants(v, api.GrantFilter{Holder: v.me.ID}), of)
	}
	n, fault := mine(func(g api.Grant) bool { return g.Notice == "owed" || g.Notice == "overdue" })
	add(n, fault, "break-glass notice that you owe", true, "/access")
	n, fault = mine(func(g api.Grant) bool { return g.State == "in-review" })
	add(n, fault, "question to answer", false, "/access")
	n, fault = mine(func(g api.Grant) bool { return g.State == "active" })
	add(n, fault, "access of yours in force", false, "/access")
	if v.mayAtHome("review") {
		n, fault = count(v.client.Reviews(v, ""), func(r api.Review) bool { return r.SignedAt == nil })
		add(n, fault, "review to sign off", false, "/reviews")
	}
	return out, err
}

// setUpOpen reports whether the provider has no administrator with a second
// factor yet, to those who can see its people.
func (v *visit) setUpOpen() (bool, error) {
	for p, err := range v.client.People(v, "") {
		if absent(err) {
			return false, nil
		}
		if err != nil {
			return false, err
		}
		if p.Role == "provider-administrator" && p.MFA && p.RemovedAt == nil {
			return false, nil
		}
	}
	return true, nil
}
