// Package rights says what the authorization policy makes possible and what it
// makes impossible, as the fact identity.access: not by what the policy is meant
// to say, but by asking it every question that there is.
package rights

import (
	"encoding/json"
	"slices"
	"time"

	"github.com/demarc/demarc/internal/access"
	"github.com/demarc/demarc/internal/authz"
	"github.com/demarc/demarc/internal/evidence"
	"github.com/demarc/demarc/internal/store"
)

// again is how soon the fact is looked at again.
const again = time.Minute

// fact is identity.access.
type fact struct {
	Roles                     []string `json:"roles"`
	MFARequiredRoles          []string `json:"mfa_required_roles"`
	ProviderRolesWithoutMFA   []string `json:"provider_roles_without_mfa"`
	GuestLoginGrantable       bool     `json:"guest_login_grantable"`
	ProviderVMChangeGrantable bool     `json:"provider_vm_change_grantable"`
	EveryEndpointAuthorized   bool     `json:"every_endpoint_authorized"`
}

// Kind is the fact kind that this package provides.
var Kind = evidence.KindOf[fact]("identity.access", evidence.ScopeProvider, again, "What the authorization policy makes possible and impossible.")

// Unfinished is how the fact names the first start's credential while it may do
// all that an administrator may.
const Unfinished = string(access.ProviderAdministrator) + " (the first start's credential, until the set-up is finished)"

// Source is the source of the fact. All members are required.
type Source struct {
	// SetUp tells whether the first start's credential stands, and whether the
	// provider has an administrator with a second factor.
	SetUp func(tx *store.Tx, now time.Time) (credential, settled bool, err error)
	// Unauthorized lists the routes of the API that nothing decides about.
	Unauthorized func() []string

	possible possible
}

// New asks the policy all there is to ask. abilities are the words for what
// grants can hold.
func New(p *authz.Policy, abilities []string) *Source {
	return &Source{possible: ask(p.Permits, abilities)}
}

// Scope implements posture.Source.
func (*Source) Scope() evidence.Scope { return evidence.ScopeProvider }

// Facts implements posture.Source.
func (s *Source) Facts(tx *store.Tx, _ evidence.Subject, now time.Time) ([]evidence.Fact, error) {
	credential, settled, err := s.SetUp(tx, now)
	if err != nil {
		return nil, err
	}
	f := fact{
		Roles: words(access.Roles), MFARequiredRoles: words(s.possible.needsFactor), ProviderRolesWithoutMFA: words(s.possible.withoutFactor),
		GuestLoginGrantable: s.possible.guestLogin, ProviderVMChangeGrantable: s.possible.vmChange,
		EveryEndpointAuthorized: len(s.Unauthorized()) == 0,
	}
	if credential && !settled {
		f.ProviderRolesWithoutMFA = append(f.ProviderRolesWithoutMFA, Unfinished)
	}
	raw, err := json.Marshal(f)
	return []evidence.Fact{{Kind: Kind.Name, Data: raw, Again: now.Add(again)}}, err
}

func words(roles []access.Role) []string {
	out := make([]string, len(roles))
	for i, r := range roles {
		out[i] = string(r)
	}
	slices.Sort(out)
	return out
}
