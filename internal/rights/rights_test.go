package rights

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/demarc/demarc/internal/access"
	"github.com/demarc/demarc/internal/authz"
	"github.com/demarc/demarc/internal/evidence"
	"github.com/demarc/demarc/internal/store"
)

// setUp answers as it is told.
type setUp struct{ credential, settled bool }

func (s setUp) answer(*store.Tx, time.Time) (bool, bool, error) { return s.credential, s.settled, nil }

func policy(t testing.TB) *authz.Policy {
	t.Helper()
	p, err := authz.New()
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func read(t *testing.T, s *Source) fact {
	t.Helper()
	now := time.Date(2026, 3, 3, 12, 0, 0, 0, time.UTC)
	facts, err := s.Facts(nil, evidence.Provider, now)
	if err != nil || len(facts) != 1 || facts[0].Kind != "identity.access" || !facts[0].Again.After(now) {
		t.Fatalf("%+v, %v", facts, err)
	}
	var f fact
	if err := json.Unmarshal(facts[0].Data, &f); err != nil {
		t.Fatal(err)
	}
	return f
}

func TestFact(t *testing.T) {
	s := New(policy(t), access.Doings)
	var holes []string
	s.SetUp, s.Unauthorized = setUp{true, false}.answer, func() []string { return holes }
	f := read(t, s)
	if len(f.Roles) != len(access.Roles) || f.GuestLoginGrantable || f.ProviderVMChangeGrantable || !f.EveryEndpointAuthorized {
		t.Errorf("%+v", f)
	}
	if !slices.Equal(f.ProviderRolesWithoutMFA, []string{Unfinished}) {
		t.Errorf("before the set-up is finished: %v", f.ProviderRolesWithoutMFA)
	}
	for _, r := range access.Roles {
		if (r.Side() == access.ProviderSide) != slices.Contains(f.MFARequiredRoles, string(r)) {
			t.Errorf("%s: a second factor is asked of %v", r, f.MFARequiredRoles)
		}
	}
	for _, done := range []setUp{{true, true}, {false, true}, {false, false}} {
		s.SetUp = done.answer
		if f := read(t, s); len(f.ProviderRolesWithoutMFA) != 0 {
			t.Errorf("%+v: %v", done, f.ProviderRolesWithoutMFA)
		}
	}
	holes = []string{"GET /v1/secrets"}
	if read(t, s).EveryEndpointAuthorized {
		t.Error("a route without a rule is authorized")
	}
}

// TestFactFindsWhatAPolicyLetsThrough holds the questions against policies that
// are wrong in one way each.
func TestFactFindsWhatAPolicyLetsThrough(t *testing.T) {
	good := policy(t).Permits
	customer := func(r authz.Resource) bool { return r.Tenant != "" && !r.Own }
	for what, c := range map[string]struct {
		hole permits
		seen func(possible) bool
	}{
		"an ability that means a guest": {func(w access.Principal, a access.Action, r authz.Resource, c authz.Case) bool {
			return a == "guest-shell" && w.Role == access.ProviderSupport && c.Granted && w.MFA
		}, func(p possible) bool { return p.guestLogin }},
		"whatever is asked": {func(w access.Principal, a access.Action, r authz.Resource, c authz.Case) bool {
			return w.Role == access.ProviderOperator && w.MFA && w.Kind == access.Service
		}, func(p possible) bool { return p.guestLogin && p.vmChange }},
		"a grant that lets change VMs": {func(w access.Principal, a access.Action, r authz.Resource, c authz.Case) bool {
			return a == access.ManageEstate && w.OfProvider() && w.MFA && c.Granted && customer(r)
		}, func(p possible) bool { return p.vmChange }},
		"set-up changes policies": {func(w access.Principal, a access.Action, r authz.Resource, c authz.Case) bool {
			return a == access.SetPolicy && w.Kind == access.Setup && customer(r)
		}, func(p possible) bool { return p.vmChange }},
		"one role without a second factor": {func(w access.Principal, a access.Action, r authz.Resource, c authz.Case) bool {
			return a == access.VerifyLedger && w.Role == access.ProviderAuditor && w.Kind == access.Service
		}, func(p possible) bool {
			return slices.Equal(p.withoutFactor, []access.Role{access.ProviderAuditor}) && !slices.Contains(p.needsFactor, access.ProviderAuditor)
		}},
	} {
		got := ask(func(w access.Principal, a access.Action, r authz.Resource, k authz.Case) bool {
			return good(w, a, r, k) || c.hole(w, a, r, k)
		}, access.Doings)
		if !c.seen(got) {
			t.Errorf("%s is not seen: %+v", what, got)
		}
	}
}

// TestNothingGivesAGuestLogin draws any combination of role, kind, grants,
// scope, access.Doings and place: none lets the provider's people log in to a
// guest or change a customer's VM.
func TestNothingGivesAGuestLogin(t *testing.T) {
	p := policy(t)
	rapid.Check(t, func(t *rapid.T) {
		p.Settle(rapid.Bool().Draw(t, "settled"))
		who := access.Principal{
			ID: "p-1", Role: rapid.SampledFrom(access.Roles).Draw(t, "role"), Kind: rapid.SampledFrom([]access.Kind{"", access.Person, access.Service, access.Setup}).Draw(t, "kind"),
			MFA: rapid.Bool().Draw(t, "mfa"), Tenant: rapid.SampledFrom([]string{"", "t-1"}).Draw(t, "of"),
		}
		c := authz.Case{Granted: rapid.Bool().Draw(t, "granted"), Requester: rapid.SampledFrom([]string{"", "p-1", "p-2"}).Draw(t, "requester")}
		customer := authz.Resource{Tenant: "t-1"}
		word := rapid.OneOf(rapid.SampledFrom(access.Doings), rapid.StringMatching(`(guest|vm|host)[-/:]?(login|log-in|shell|console|exec|sftp|forward)`), rapid.String()).Draw(t, "ability")
		act := access.Action(word)
		if rapid.Bool().Draw(t, "narrowed") {
			who.Scope = append(rapid.SliceOf(rapid.SampledFrom(access.Actions)).Draw(t, "scope"), act)
		}
		if !slices.Contains(access.Actions, act) && p.Permits(who, act, customer, c) {
			t.Fatalf("%+v may %q in the case %+v", who, act, c)
		}
		for _, a := range changesVM {
			if who.OfProvider() && p.Permits(who, a, customer, c) {
				t.Fatalf("%+v may %s a customer's VM in the case %+v", who, a, c)
			}
		}
	})
	for _, a := range access.Actions {
		if strings.Contains(string(a), "guest") {
			t.Errorf("there is an action %s", a)
		}
	}
}
