package authz

import (
	"iter"
	"slices"
	"strings"

	"github.com/cedar-policy/cedar-go"
	"github.com/cedar-policy/cedar-go/types"
	"github.com/cedar-policy/cedar-go/x/exp/ast"

	"github.com/demarc/demarc/internal/access"
)

// index holds, for each question of role, action and kind of resource, the
// policies that its answer can depend on. It leaves out only those whose scope
// cannot match, so that Cedar decides by it as by the whole set.
type index map[question]selection

type question struct {
	role     access.Role
	action   access.Action
	resource types.EntityType
}

// selection is a part of a policy set; it implements cedar.PolicyIterator.
type selection []selected

type selected struct {
	id     cedar.PolicyID
	policy *cedar.Policy
}

// All implements cedar.PolicyIterator.
func (s selection) All() iter.Seq2[cedar.PolicyID, *cedar.Policy] {
	return func(yield func(cedar.PolicyID, *cedar.Policy) bool) {
		for _, p := range s {
			if !yield(p.id, p.policy) {
				return
			}
		}
	}
}

func newIndex(set *cedar.PolicySet) index {
	x := index{}
	var all selection
	for id, p := range set.All() {
		all = append(all, selected{id, p})
	}
	slices.SortFunc(all, func(a, b selected) int { return strings.Compare(string(a.id), string(b.id)) })
	for _, role := range access.Roles {
		for _, action := range access.Actions {
			for _, resource := range []types.EntityType{tenantType, providerType} {
				q := question{role, action, resource}
				x[q] = slices.DeleteFunc(slices.Clone(all), func(p selected) bool { return !q.concerns(p.policy) })
			}
		}
	}
	return x
}

// concerns reports whether the scope of p can match; in doubt it can.
func (q question) concerns(p *cedar.Policy) bool {
	tree := (*ast.Policy)(p.AST())
	switch s := tree.Principal.(type) {
	case ast.ScopeTypeIn:
		if parents := above[q.role]; (s.Entity.Type == roleType || s.Entity.Type == sideType) && !parents.Contains(s.Entity) {
			return false
		}
	}
	action := types.NewEntityUID(actionType, types.String(q.action))
	switch s := tree.Action.(type) {
	case ast.ScopeTypeEq:
		if s.Entity != action {
			return false
		}
	case ast.ScopeTypeInSet: // of actions: there are no groups of them
		if !slices.Contains(s.Entities, action) {
			return false
		}
	}
	switch s := tree.Resource.(type) {
	case ast.ScopeTypeIs:
		if s.Type != q.resource {
			return false
		}
	}
	return true
}
