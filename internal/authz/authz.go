// Package authz decides who may do what, by the Cedar policy beside it
// (policy.cedar). Nothing else in the product decides that.
package authz

import (
	_ "embed"
	"fmt"
	"slices"
	"sync/atomic"

	"github.com/cedar-policy/cedar-go"
	"github.com/cedar-policy/cedar-go/types"

	"github.com/demarc/demarc/internal/access"
)

//go:embed policy.cedar
var text string

// Resource is what an action concerns.
type Resource struct {
	// Tenant is the tenant's id; empty is the provider itself.
	Tenant string
	// Own marks the tenants that the provider's own hosts are assets of.
	Own bool
}

// Provider is what belongs to no tenant.
var Provider = Resource{}

// Case is what a decision depends on besides who and what.
type Case struct {
	// Granted: the principal holds a grant for the tenant that is in force now.
	Granted bool
	// Requester is the id of who asked for what is to be decided.
	Requester string
}

// Policy decides. It is safe for concurrent use.
type Policy struct {
	set     *cedar.PolicySet
	settled atomic.Bool
}

// New reads the built-in policy.
func New() (*Policy, error) {
	set, err := cedar.NewPolicySetFromBytes("policy.cedar", []byte(text))
	if err != nil {
		return nil, fmt.Errorf("authorization policy: %w", err)
	}
	return &Policy{set: set}, nil
}

// Text is the policy as it is written, for people to read.
func Text() string { return text }

// Settle says whether the provider has an administrator with a second factor,
// after which the first start's credential can do little.
func (p *Policy) Settle(settled bool) { p.settled.Store(settled) }

// Settled reports what Settle was told.
func (p *Policy) Settled() bool { return p.settled.Load() }

// Permits reports whether who may do a on r.
func (p *Policy) Permits(who access.Principal, a access.Action, r Resource, c Case) bool {
	ok, _ := p.decide(who, a, r, c)
	return ok
}

// Explain is Permits with the ids of the rules that decided; none decided where
// nothing permits.
func (p *Policy) Explain(who access.Principal, a access.Action, r Resource, c Case) (ok bool, rules []string) {
	ok, d := p.decide(who, a, r, c)
	for _, reason := range d.Reasons {
		id, named := p.set.Get(reason.PolicyID).Annotations()["id"]
		if !named {
			id = types.String(reason.PolicyID)
		}
		rules = append(rules, string(id))
	}
	slices.Sort(rules)
	return ok, rules
}

func (p *Policy) decide(who access.Principal, a access.Action, r Resource, c Case) (bool, cedar.Diagnostic) {
	if who.ID == "" || who.Role.Side() == "" {
		return false, cedar.Diagnostic{}
	}
	e := entities{
		principal: cedar.NewEntityUID("Principal", types.String(who.ID)),
		resource:  cedar.NewEntityUID("Provider", "provider"),
		who:       who, of: r,
	}
	if r.Tenant != "" {
		e.resource = cedar.NewEntityUID("Tenant", types.String(r.Tenant))
	}
	decision, d := cedar.Authorize(p.set, &e, cedar.Request{
		Principal: e.principal, Action: cedar.NewEntityUID("Action", types.String(a)), Resource: e.resource,
		Context: cedar.NewRecord(cedar.RecordMap{
			"granted": types.Boolean(c.Granted), "requester": types.String(c.Requester), "settled": types.Boolean(p.settled.Load()),
			"limited": types.Boolean(who.Scope != nil && a != access.Look && !slices.Contains(who.Scope, a)),
		}),
	})
	// A rule that could not be evaluated must not let anything through.
	return decision == cedar.Allow && len(d.Errors) == 0, d
}

// entities gives Cedar the two entities that a decision is about, and the roles
// and sides above the principal.
type entities struct {
	principal, resource types.EntityUID
	who                 access.Principal
	of                  Resource
}

// Get implements types.EntityGetter.
func (e *entities) Get(id types.EntityUID) (types.Entity, bool) {
	switch id {
	case e.principal:
		kind := e.who.Kind
		if kind == "" {
			kind = access.Person
		}
		return types.Entity{UID: id, Parents: above[e.who.Role], Attributes: types.NewRecord(types.RecordMap{
			"name": types.String(e.who.ID), "kind": types.String(kind), "mfa": types.Boolean(e.who.MFA),
			"tenant": types.NewEntityUID("Tenant", types.String(e.who.Tenant)),
		})}, true
	case e.resource:
		return types.Entity{UID: id, Attributes: types.NewRecord(types.RecordMap{"own": types.Boolean(e.of.Own)})}, true
	}
	return types.Entity{}, false
}

// above are role and side of who has the role.
var above = func() map[access.Role]types.EntityUIDSet {
	m := map[access.Role]types.EntityUIDSet{}
	for _, r := range access.Roles {
		m[r] = types.NewEntityUIDSet(types.NewEntityUID("Role", types.String(r)), types.NewEntityUID("Side", types.String(r.Side())))
	}
	return m
}()
