package incident

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/demarc/demarc/internal/access"
	"github.com/demarc/demarc/internal/estate"
	"github.com/demarc/demarc/internal/evidence"
	"github.com/demarc/demarc/internal/ident"
	"github.com/demarc/demarc/internal/ledger"
	"github.com/demarc/demarc/internal/store"
)

// GuestLogin is the kind of incident that this package opens.
const GuestLogin = "guest-login"

const loginsKind = "host.logins"

// maxOpened bounds how many incidents one fact opens; what is over it is
// opened when the machine reports next.
const maxOpened = 50

// known returns the provider's identities.
func (i *Incidents) known(tx *store.Tx) (k Known, err error) {
	list, err := tx.StandingIdentities(i.Now())
	if err != nil {
		return k, err
	}
	for _, p := range list {
		switch p.Kind {
		case Account:
			k.Accounts = append(k.Accounts, p.Value)
		case Fingerprint:
			k.Fingerprints = append(k.Fingerprints, p.Value)
		case Address:
			if n, err := netip.ParsePrefix(p.Value); err == nil {
				k.Networks = append(k.Networks, n)
			}
		}
	}
	for _, text := range i.Networks {
		value, err := checkNetwork(text)
		if err != nil {
			return k, err
		}
		k.Networks = append(k.Networks, netip.MustParsePrefix(value))
	}
	return k, nil
}

// CheckNetworks reports what is wrong with networks of a configuration.
func CheckNetworks(networks []string) error {
	for _, n := range networks {
		if _, err := checkNetwork(n); err != nil {
			return err
		}
	}
	return nil
}

// Observes implements posture.Observer.
func (i *Incidents) Observes() []string { return []string{loginsKind} }

// Observe implements posture.Observer: it opens incidents for the logins of
// provider identities in the transaction that stores that they were seen.
func (i *Incidents) Observe(tx *store.Tx, s evidence.Subject) error {
	_, err := i.look(tx, s)
	return err
}

// look reports how many logins of provider identities the machine's fact shows.
func (i *Incidents) look(tx *store.Tx, s evidence.Subject) (matches int, err error) {
	if s.Scope != evidence.ScopeVM {
		return 0, nil
	}
	k, err := i.known(tx)
	if err != nil || k.Empty() {
		return 0, err
	}
	t, err := tx.Tenant(s.Tenant)
	if err != nil || t.Own {
		return 0, err // the provider's own machines are where its people belong
	}
	f, err := tx.Fact(s, loginsKind)
	if err != nil {
		return 0, err
	}
	var l Logins
	if err := json.Unmarshal(f.Data, &l); err != nil {
		return 0, fmt.Errorf("stored %s of %s is damaged: %w", loginsKind, s.ID, err)
	}
	found := k.Match(l, f.ObservedAt)
	opened := 0
	for _, x := range found {
		if opened == maxOpened {
			break
		}
		isNew, err := i.open(tx, s, f, x)
		if err != nil {
			return 0, err
		}
		if isNew {
			opened++
		}
	}
	return len(found), nil
}

func (i *Incidents) open(tx *store.Tx, s evidence.Subject, f evidence.Fact, x Seen) (bool, error) {
	in := store.Incident{
		ID: ident.New("in"), Tenant: s.Tenant, Kind: GuestLogin, VM: s.ID, Occurrence: x.Occurrence, Happened: x.At, Opened: i.Now(),
		Words: x.Words, Evidence: map[string]string{"login": x.Occurrence, "fact": f.Digest},
	}
	isNew, err := tx.OpenIncident(in)
	if err != nil || !isNew {
		return false, err
	}
	_, err = i.Ledger.Append(tx, ledger.Entry{
		Time: i.Now(), Tenant: s.Tenant, Actor: "system/incident", Action: "incident.open", Subject: "incident/" + in.ID, Digests: in.Evidence,
	})
	return true, err
}

// List returns a tenant's incidents, newest first.
func (i *Incidents) List(ctx context.Context, tenant string, p store.Page) (list []store.Incident, err error) {
	err = i.Store.Read(ctx, func(tx *store.Tx) (err error) {
		list, err = tx.Incidents(tenant, p)
		return err
	})
	return list, err
}

// Get returns an incident of a tenant.
func (i *Incidents) Get(ctx context.Context, tenant, id string) (in store.Incident, err error) {
	err = i.Store.Read(ctx, func(tx *store.Tx) (err error) {
		in, err = tx.Incident(tenant, id)
		return err
	})
	return in, err
}

// Close closes an incident. note says what was found out and is required.
func (i *Incidents) Close(ctx context.Context, by access.Principal, tenant, id, note string) (in store.Incident, err error) {
	note = strings.TrimSpace(note)
	if len(note) < 3 || len(note) > 4000 || !utf8.ValidString(note) ||
		strings.ContainsFunc(note, func(r rune) bool { return r < ' ' && r != '\n' && r != '\t' && r != '\r' }) {
		return in, fmt.Errorf("%w: say in 3 to 4000 characters of plain text what was found out", estate.ErrInvalid)
	}
	err = i.Store.Write(ctx, func(tx *store.Tx) error {
		if in, err = tx.Incident(tenant, id); err != nil {
			return err
		}
		if in.Closed != nil {
			return fmt.Errorf("this incident is closed already: %w", store.ErrConflict)
		}
		if err := tx.CloseIncident(tenant, id, by.Actor(), note, i.Now()); err != nil {
			return err
		}
		if in, err = tx.Incident(tenant, id); err != nil {
			return err
		}
		_, err := i.Ledger.Append(tx, ledger.Entry{
			Time: i.Now(), Tenant: tenant, Actor: by.Actor(), Action: "incident.close", Subject: "incident/" + id,
		})
		return err
	})
	return in, err
}

// scanSetting keeps the VM that a look through all machines has come to; empty
// at its beginning, scanned at its end.
const (
	scanSetting = "incident.scanned-to"
	scanned     = "~"
	scanAtOnce  = 50
)

// Run looks through all machines after the register changed, until ctx ends.
// It goes on where a former process stopped.
func (i *Incidents) Run(ctx context.Context) error {
	tick := time.NewTicker(2 * time.Second)
	defer tick.Stop()
	for {
		if err := i.Scan(ctx); err != nil && ctx.Err() == nil {
			i.Log.Error("look for provider identities on machines", "error", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// Scan finishes the look through all machines that is under way, if one is.
func (i *Incidents) Scan(ctx context.Context) error {
	for ctx.Err() == nil {
		var at string
		err := i.Store.Read(ctx, func(tx *store.Tx) error {
			raw, err := tx.Setting(scanSetting)
			at = string(raw)
			if errors.Is(err, store.ErrNotFound) {
				at, err = scanned, nil
			}
			return err
		})
		if err != nil || at == scanned {
			return err
		}
		if err := i.Store.Write(ctx, i.scanSome); err != nil {
			return err
		}
	}
	return nil
}

func (i *Incidents) scanSome(tx *store.Tx) error {
	raw, err := tx.Setting(scanSetting)
	if err != nil || string(raw) == scanned {
		return err
	}
	ids, err := tx.VMsWithFact(loginsKind, string(raw), scanAtOnce)
	if err != nil {
		return err
	}
	next := scanned
	if len(ids) == scanAtOnce {
		next = ids[len(ids)-1]
	}
	if err := tx.PutSetting(scanSetting, []byte(next)); err != nil {
		return err
	}
	for _, id := range ids {
		vm, err := tx.VMByID(id)
		if err != nil {
			return err
		}
		s := evidence.Subject{Scope: evidence.ScopeVM, Tenant: vm.Tenant, ID: id}
		if _, err := i.look(tx, s); err != nil {
			return err
		}
		if err := i.Judge.Rejudge(tx, s); err != nil {
			return err
		}
	}
	return nil
}
