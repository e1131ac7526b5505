package server

import (
	"context"
	"errors"
	"slices"

	"golang.org/x/crypto/ssh"

	"github.com/demarc/demarc/internal/access"
	"github.com/demarc/demarc/internal/activity"
	"github.com/demarc/demarc/internal/authz"
	"github.com/demarc/demarc/internal/evidence"
	"github.com/demarc/demarc/internal/incident"
	"github.com/demarc/demarc/internal/posture"
	"github.com/demarc/demarc/internal/privilege"
	"github.com/demarc/demarc/internal/recording"
	"github.com/demarc/demarc/internal/review"
	"github.com/demarc/demarc/internal/rungroup"
	"github.com/demarc/demarc/internal/sessionaudit"
	"github.com/demarc/demarc/internal/store"
)

// overseers are the parts that look at what others do: reviews, incidents,
// unused rights, and what the customer is shown.
type overseers struct {
	reviews    *review.Reviews
	incidents  *incident.Incidents
	privileges *privilege.Privileges
	activity   *activity.Activity
	feed       *activity.Feed
	auditor    *sessionaudit.Auditor
}

// overseerKinds are the fact kinds that they provide.
func overseerKinds() []evidence.Kind {
	return append([]evidence.Kind{incident.FactKind, privilege.FactKind, sessionaudit.FactKind}, review.FactKinds...)
}

// openOverseers constructs the parts; posture, which they judge by, is given
// to them by judgeOverseers.
func (s *server) openOverseers() error {
	if err := incident.CheckNetworks(s.cfg.ManagementNetworks); err != nil {
		return err
	}
	log := s.cfg.Log
	s.over.reviews = &review.Reviews{Store: s.store, Ledger: s.ledger, Now: s.cfg.Now, Log: log.With("part", "reviews")}
	s.over.incidents = &incident.Incidents{
		Store: s.store, Ledger: s.ledger, Networks: s.cfg.ManagementNetworks, Now: s.cfg.Now, Log: log.With("part", "incidents"),
	}
	s.over.privileges = &privilege.Privileges{Store: s.store, Policy: permissions(s.policy), Now: s.cfg.Now, Log: log.With("part", "privileges")}
	s.over.activity = &activity.Activity{Store: s.store, Subjects: map[string]activity.Describer{"vm": nameVM, "grant": nameGrant}}
	s.over.auditor = &sessionaudit.Auditor{Store: s.store, Recordings: recordings{s}, Authority: s.hostAuthority, Now: s.cfg.Now}
	s.over.feed = &activity.Feed{Activity: s.over.activity, Log: log.With("part", "activity")}
	return nil
}

func (s *server) overseerObservers() []posture.Observer {
	return []posture.Observer{s.over.reviews, s.over.incidents, s.over.privileges, s.over.auditor}
}

func (s *server) judgeOverseers() {
	s.over.reviews.Judge, s.over.incidents.Judge = s.posture, s.posture
}

// oversee runs the parts.
func (s *server) oversee(ctx context.Context) error {
	return rungroup.Run(ctx,
		rungroup.Part{Name: "reviews", Run: s.over.reviews.Run},
		rungroup.Part{Name: "incidents", Run: s.over.incidents.Run},
		rungroup.Part{Name: "privileges", Run: s.over.privileges.Run},
		rungroup.Part{Name: "activity", Run: s.over.feed.Run},
	)
}

// hostAuthority is the fingerprint of the key that hosts trust.
func (s *server) hostAuthority() string { return ssh.FingerprintSHA256(s.sshAuthority.Targets()) }

// recordings verifies recordings for audits.
type recordings struct{ s *server }

// Verified implements sessionaudit.Recordings.
func (r recordings) Verified(ctx context.Context, rec store.Recording) (fault string, here bool, err error) {
	v, err := r.s.recorder.Verify(ctx, rec)
	if errors.Is(err, recording.ErrElsewhere) {
		return "", false, nil
	}
	return v.Fault, true, err
}

// Reviews keeps the regular reviews.
func (s *Server) Reviews() *review.Reviews { return s.s.over.reviews }

func nameVM(tx *store.Tx, id string) (string, error) {
	vm, err := tx.VMByID(id)
	return vm.Name, err
}

func nameGrant(tx *store.Tx, id string) (string, error) {
	g, err := tx.Grant("", id)
	if err != nil || g.Ticket == "" {
		return "", err
	}
	return "for ticket " + g.Ticket, nil
}

// permitted says what roles permit.
type permitted map[access.Role][]access.Action

// permissions asks the policy what each role permits a person with a second
// factor: in its own tenant, or at the provider's and in customers' tenants.
func permissions(p *authz.Policy) permitted {
	out := permitted{}
	for _, role := range access.Roles {
		who := access.Principal{ID: "p-any", Role: role, Kind: access.Person, MFA: true}
		if role.Side() == access.CustomerSide {
			who.Tenant = "t-any"
		}
		for _, a := range access.Actions {
			may := func(r authz.Resource) bool { return p.Permits(who, a, r, authz.Case{Granted: true}) }
			if slices.ContainsFunc([]authz.Resource{{Tenant: "t-any"}, authz.Provider}, may) {
				out[role] = append(out[role], a)
			}
		}
	}
	return out
}

// Allowed implements privilege.Policy.
func (p permitted) Allowed(r access.Role) []access.Action { return p[r] }
