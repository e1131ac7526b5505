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
	// Requester is the id of who asked for what is to be decided; empty if nobody did.
	Requester string
}

// The types of Cedar's entities in the policy.
const (
	principalType types.EntityType = "Principal"
	roleType      types.EntityType = "Role"
	sideType      types.EntityType = "Side"
	actionType    types.EntityType = "Action"
	tenantType    types.EntityType = "Tenant"
	providerType  types.EntityType = "Provider"
)

// Policy decides. It is safe for concurrent use.
type Policy struct {
	set     *cedar.PolicySet
	index   index
	settled atomic.Bool
}

// New reads the built-in policy.
func New() (*Policy, error) {
	set, err := cedar.NewPolicySetFromBytes("policy.cedar", []byte(text))
	if err != nil {
		return nil, fmt.Errorf("authorization policy: %w", err)
	}
	return &Policy{set: set, index: newIndex(set)}, nil
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
	return ok, p.names(d)
}

func (p *Policy) names(d cedar.Diagnostic) (rules []string) {
	for _, reason := range d.Reasons {
		id, named := p.set.Get(reason.PolicyID).Annotations()["id"]
		if !named {
			id = types.String(reason.PolicyID)
		}
		rules = append(rules, string(id))
	}
	slices.Sort(rules)
	return rules
}

// decide asks Cedar. What is no role or no action nobody may do.
func (p *Policy) decide(who access.Principal, a access.Action, r Resource, c Case) (bool, cedar.Diagnostic) {
	req, e := p.request(who, a, r, c)
	policies, ok := p.index[question{who.Role, a, req.Resource.Type}]
	if !ok || who.ID == "" {
		return false, cedar.Diagnostic{}
	}
	decision, d := cedar.Authorize(policies, e, req)
	// A rule that could not be evaluated must not let anything through.
	return decision == cedar.Allow && len(d.Errors) == 0, d
}

// request is a question in Cedar's form.
func (p *Policy) request(who access.Principal, a access.Action, r Resource, c Case) (cedar.Request, *entities) {
	e := &entities{who: who, principal: cedar.NewEntityUID(principalType, types.String(who.ID)), resource: provider, of: belongings[r.Own]}
	if r.Tenant != "" {
		e.resource = cedar.NewEntityUID(tenantType, types.String(r.Tenant))
	}
	in := situation{
		granted: c.Granted, settled: p.settled.Load(), ownRequest: c.Requester == who.ID,
		limited: who.Scope != nil && a != access.Look && !slices.Contains(who.Scope, a),
	}
	return cedar.Request{Principal: e.principal, Action: cedar.NewEntityUID(actionType, types.String(a)), Resource: e.resource, Context: situations[in]}, e
}

var provider = cedar.NewEntityUID(providerType, "provider")

// situation is the context of a request.
type situation struct{ granted, settled, limited, ownRequest bool }

// Records that requests share: making one costs more than deciding.
var (
	situations = func() map[situation]types.Record {
		m := map[situation]types.Record{}
		for i := range 16 {
			s := situation{i&1 != 0, i&2 != 0, i&4 != 0, i&8 != 0}
			m[s] = types.NewRecord(types.RecordMap{
				"granted": types.Boolean(s.granted), "settled": types.Boolean(s.settled), "limited": types.Boolean(s.limited), "own_request": types.Boolean(s.ownRequest),
			})
		}
		return m
	}()
	belongings = map[bool]types.Record{
		false: types.NewRecord(types.RecordMap{"own": types.False}),
		true:  types.NewRecord(types.RecordMap{"own": types.True}),
	}
	ofProvider = func() map[standing]types.Record {
		m := map[standing]types.Record{}
		for _, kind := range []access.Kind{access.Person, access.Service, access.Setup} {
			for _, mfa := range []bool{false, true} {
				m[standing{kind, mfa}] = standing{kind, mfa}.of("")
			}
		}
		return m
	}()
)

// standing is what a principal is but for its tenant.
type standing struct {
	kind access.Kind
	mfa  bool
}

func (s standing) of(tenant string) types.Record {
	return types.NewRecord(types.RecordMap{"kind": types.String(s.kind), "mfa": types.Boolean(s.mfa), "tenant": types.NewEntityUID(tenantType, types.String(tenant))})
}

// entities gives Cedar the two entities that a decision is about, and the roles
// and sides above the principal. It serves one decision.
type entities struct {
	who                 access.Principal
	principal, resource types.EntityUID
	of                  types.Record
	acting              *types.Entity // the principal, once it was asked for
}

// Get implements types.EntityGetter.
func (e *entities) Get(id types.EntityUID) (types.Entity, bool) {
	switch id {
	case e.principal:
		if e.acting == nil {
			e.acting = e.act()
		}
		return *e.acting, true
	case e.resource:
		return types.Entity{UID: id, Attributes: e.of}, true
	}
	return types.Entity{}, false
}

func (e *entities) act() *types.Entity {
	s := standing{e.who.Kind, e.who.MFA}
	if s.kind == "" {
		s.kind = access.Person
	}
	attributes, ok := ofProvider[s]
	if !ok || e.who.Tenant != "" {
		attributes = s.of(e.who.Tenant)
	}
	return &types.Entity{UID: e.principal, Parents: above[e.who.Role], Attributes: attributes}
}

// above are role and side of who has the role.
var above = func() map[access.Role]types.EntityUIDSet {
	m := map[access.Role]types.EntityUIDSet{}
	for _, r := range access.Roles {
		m[r] = types.NewEntityUIDSet(types.NewEntityUID(roleType, types.String(r)), types.NewEntityUID(sideType, types.String(r.Side())))
	}
	return m
}()
