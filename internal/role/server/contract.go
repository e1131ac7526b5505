package server

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/demarc/demarc/internal/contract"
	"github.com/demarc/demarc/internal/evidence"
	"github.com/demarc/demarc/internal/fleet"
	"github.com/demarc/demarc/internal/grant"
	"github.com/demarc/demarc/internal/infrastructure"
	"github.com/demarc/demarc/internal/judgement"
	"github.com/demarc/demarc/internal/posture"
	"github.com/demarc/demarc/internal/responsibility/builtin"
	"github.com/demarc/demarc/internal/review"
	"github.com/demarc/demarc/internal/rights"
	"github.com/demarc/demarc/internal/selfcheck"
	"github.com/demarc/demarc/internal/service"
	"github.com/demarc/demarc/internal/service/all"
	"github.com/demarc/demarc/internal/tenancy"
	"github.com/demarc/demarc/internal/wire"
)

// ownKinds are the fact kinds that the server itself provides.
func ownKinds() []evidence.Kind {
	return slices.Concat(
		[]evidence.Kind{wire.AgentKind, fleet.CoverageKind, rights.Kind},
		selfcheck.Kinds,
		grant.Kinds,
		infrastructure.Kinds,
		[]evidence.Kind{selfcheck.VaultKind},
		overseerKinds(),
	)
}

// Kinds are all fact kinds that this program provides: the server's own and
// those of its services.
func Kinds() []evidence.Kind {
	kinds := ownKinds()
	for _, svc := range all.Services() {
		kinds = append(kinds, svc.Manifest().Kinds...)
	}
	return kinds
}

func (s *server) openContract(ctx context.Context) error {
	s.services = all.Services()
	kinds, everything := ownKinds(), Kinds()
	for _, svc := range s.services {
		if p, ok := svc.(service.Preparer); ok {
			if err := p.Prepare(everything); err != nil {
				return fmt.Errorf("service %s: %w", svc.Manifest().Name, err)
			}
		}
	}
	base, err := builtin.Catalogue()
	if err != nil {
		return err
	}
	if s.contract, err = contract.Open(ctx, s.store, s.ledger, s.cfg.Now, base, s.services, kinds); err != nil {
		return err
	}
	compiled, err := s.contract.Compile()
	if err != nil {
		return err
	}
	s.estate = &tenancy.Estate{
		Store: s.store, Ledger: s.ledger, Accounts: s.bus, Keys: s.keys, Services: buyable(s.services, compiled), Now: s.cfg.Now,
	}
	published := changes{s.bus, s.broker, s.cfg.Log.With("part", "posture")}
	if err := s.openOverseers(); err != nil {
		return err
	}
	s.posture, err = posture.New(posture.Config{
		Catalogue: compiled, Services: s.services, Sources: []posture.Source{
			fleet.Coverage{},
			selfcheck.Tenants{Contacts: s.estate, Form: tenancy.ContactForm},
			s.self,
			s.openRights(),
			infrastructure.Source{},
			s.openVault(),
			review.Source{}, s.over.incidents, s.over.privileges, s.over.auditor,
			grant.Privileged{Sessions: sessions{s}},
			grant.Environments{Sessions: sessions{s}, Proofs: &grant.Proofs{}},
		},
		Observers: s.overseerObservers(),
		Store:     s.store, Ledger: s.ledger, Now: s.cfg.Now, Log: s.cfg.Log.With("part", "posture"), Changed: published.publish,
		Heavy: (&memory{}).spend,
	})
	if err != nil {
		return err
	}
	s.estate.Judge = s.posture
	s.judgeOverseers()
	s.fleet = &fleet.Fleet{
		Store: s.store, Ledger: s.ledger, Bus: s.bus, VMs: s.estate, Judge: s.posture, CA: string(s.authority.PEM()) + string(s.busCA), Pin: s.authority.Pin(),
		BusURLs: s.bus.URLs(), Now: s.cfg.Now, Log: s.cfg.Log.With("part", "fleet"),
	}
	return nil
}

// buyable lists what a subscription can name: services that move a duty of the
// contract, and services of this program that do not run everywhere anyway.
func buyable(services []service.Service, c *judgement.Compiled) []string {
	var out []string
	add := func(name string) {
		for _, have := range out {
			if have == name {
				return
			}
		}
		out = append(out, name)
	}
	for _, svc := range services {
		if m := svc.Manifest(); !m.Standard {
			add(m.Name)
		}
	}
	for _, d := range c.Duties {
		for _, name := range d.Services {
			add(name)
		}
	}
	return out
}

// followCatalogues puts in force what other servers of the installation load.
func (s *server) followCatalogues(ctx context.Context) error {
	tick := time.NewTicker(10 * time.Second)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		compiled, err := s.contract.Refresh(ctx)
		if err != nil && ctx.Err() == nil {
			s.cfg.Log.Error("read the catalogues again", "error", err)
		}
		if compiled != nil {
			s.posture.SetCatalogue(compiled) // whoever loaded it judges by it
		}
	}
}

// runPosture brings verdicts up to the catalogue of this program, then keeps
// them by the timer.
func (s *server) runPosture(ctx context.Context) error {
	if err := s.posture.CatchUp(ctx); err != nil && ctx.Err() == nil {
		s.cfg.Log.Error("judge by the catalogue in force", "error", err)
	}
	return s.posture.Run(ctx)
}
