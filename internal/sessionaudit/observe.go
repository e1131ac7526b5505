package sessionaudit

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/demarc/demarc/internal/canonical"
	"github.com/demarc/demarc/internal/evidence"
	"github.com/demarc/demarc/internal/store"
)

const (
	loginsKind = "host.logins"
	// maxKept bounds how long texts of a login are, which a host gives.
	maxKept = 256
)

// Observes implements posture.Observer.
func (a *Auditor) Observes() []string { return []string{loginsKind} }

// logins is what is read of a host.logins fact.
type logins struct {
	Available bool `json:"available"`
	Logins    []struct {
		User        string    `json:"user"`
		Source      string    `json:"source"`
		Method      string    `json:"method"`
		Key         string    `json:"key"`
		Certificate string    `json:"certificate"`
		Authority   string    `json:"authority"`
		At          time.Time `json:"at"`
	} `json:"logins"`
}

// Observe implements posture.Observer: it keeps the logins on the provider's
// own hosts, in the transaction that stores that they were seen.
func (a *Auditor) Observe(tx *store.Tx, s evidence.Subject) error {
	if s.Scope != evidence.ScopeVM {
		return nil
	}
	t, err := tx.Tenant(s.Tenant)
	if err != nil || !t.Own {
		return err // customers' machines are for package incident
	}
	f, err := tx.Fact(s, loginsKind)
	if err != nil {
		return err
	}
	var l logins
	if err := json.Unmarshal(f.Data, &l); err != nil {
		return fmt.Errorf("stored %s of %s is damaged: %w", loginsKind, s.ID, err)
	}
	keep := make([]store.HostLogin, 0, len(l.Logins))
	for _, x := range l.Logins {
		raw, err := canonical.JSON(x)
		if err != nil {
			return fmt.Errorf("stored %s of %s is damaged: %w", loginsKind, s.ID, err)
		}
		keep = append(keep, store.HostLogin{
			VM: s.ID, Occurrence: canonical.Digest(raw), At: x.At, Account: clip(x.User), Source: clip(x.Source), Method: clip(x.Method),
			Fingerprint: clip(x.Key), Certificate: clip(x.Certificate), Authority: clip(x.Authority),
		})
	}
	return tx.AddHostLogins(keep)
}

// clip bounds a text that a host gave, and makes it one that every database
// takes.
func clip(s string) string {
	s = strings.Map(func(r rune) rune {
		if r < ' ' {
			return -1
		}
		return r
	}, s)
	return strings.ToValidUTF8(s[:min(len(s), maxKept)], "")
}

// ownVMs returns the machines of the provider's own tenants.
func ownVMs(tx *store.Tx) ([]host, error) {
	var out []host
	for page := (store.Page{}); ; {
		tenants, err := tx.Tenants(page)
		if err != nil {
			return nil, err
		}
		for _, t := range tenants {
			if !t.Own {
				continue
			}
			if out, err = hostsOf(tx, t.ID, out); err != nil {
				return nil, err
			}
		}
		if len(tenants) < store.MaxPage {
			return out, nil
		}
		page.After = tenants[len(tenants)-1].ID
	}
}

func hostsOf(tx *store.Tx, tenant string, out []host) ([]host, error) {
	for page := (store.Page{}); ; {
		vms, err := tx.VMs(tenant, page)
		if err != nil {
			return nil, err
		}
		for _, vm := range vms {
			h := host{vm: vm}
			f, err := tx.Fact(evidence.Subject{Scope: evidence.ScopeVM, Tenant: tenant, ID: vm.ID}, loginsKind)
			if err != nil && !errors.Is(err, store.ErrNotFound) {
				return nil, err
			}
			if err == nil {
				var l struct {
					Available bool `json:"available"`
				}
				h.watched = json.Unmarshal(f.Data, &l) == nil && l.Available
			}
			out = append(out, h)
		}
		if len(vms) < store.MaxPage {
			return out, nil
		}
		page.After = vms[len(vms)-1].ID
	}
}
