package tenancy

import (
	"context"
	"fmt"
	"regexp"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/demarc/demarc/internal/access"
	"github.com/demarc/demarc/internal/canonical"
	"github.com/demarc/demarc/internal/estate"
	"github.com/demarc/demarc/internal/evidence"
	"github.com/demarc/demarc/internal/ident"
	"github.com/demarc/demarc/internal/responsibility"
	"github.com/demarc/demarc/internal/store"
)

// Duties finds duties of the catalogue in force.
type Duties interface {
	Find(id string) (responsibility.Duty, bool)
	// ServiceRule reports whether SERVICE/RULE names a rule that can be waived.
	ServiceRule(id string) bool
}

// MaxWaiver is the longest time for which a risk can be accepted at once.
const MaxWaiver = 366 * 24 * time.Hour

// Claim is what somebody states about a duty.
type Claim struct {
	Duty    string
	Subject evidence.Subject
	Text    string
	// Attachments only for attestations.
	Attachments []evidence.Attachment
	Effective   time.Time // zero means now
	Expires     time.Time
}

var attachmentDigest = regexp.MustCompile(`^sha256:[0-9a-f]{64}$`)

func (c *Claim) check(now time.Time, longest time.Duration) error {
	if c.Effective.IsZero() {
		c.Effective = now
	}
	c.Effective, c.Expires = c.Effective.UTC().Truncate(time.Microsecond), c.Expires.UTC().Truncate(time.Microsecond)
	text := strings.TrimSpace(c.Text)
	switch {
	case len(text) < 3 || len(text) > 4000:
		return fmt.Errorf("%w: say in 3 to 4000 characters what is stated and why", estate.ErrInvalid)
	case !utf8.ValidString(c.Text) || strings.ContainsFunc(c.Text, func(r rune) bool { return r < ' ' && r != '\n' && r != '\t' && r != '\r' }):
		return fmt.Errorf("%w: a statement is plain text without control characters", estate.ErrInvalid)
	case c.Effective.Before(now.Add(-grace)):
		return fmt.Errorf("%w: a statement cannot take effect in the past", estate.ErrInvalid)
	case !c.Expires.After(c.Effective) || !c.Expires.After(now):
		return fmt.Errorf("%w: it must expire after it takes effect", estate.ErrInvalid)
	case c.Expires.Sub(c.Effective) > longest:
		return fmt.Errorf("%w: it may last %d days at most; give an earlier expiry", estate.ErrInvalid, int(longest.Hours()/24))
	case len(c.Attachments) > 20:
		return fmt.Errorf("%w: at most 20 attachments", estate.ErrInvalid)
	}
	for _, a := range c.Attachments {
		if !attachmentDigest.MatchString(a.Digest) || a.Name == "" || len(a.Name) > 200 || a.Bytes < 0 {
			return fmt.Errorf("%w: an attachment needs a name and a digest sha256:<64 hex digits>", estate.ErrInvalid)
		}
	}
	return nil
}

// fit checks that a duty of the catalogue can be stated about the subject:
// about its own kind of subject, or about the whole tenant of it.
func fit(d responsibility.Duty, s evidence.Subject) error {
	if s.Scope == d.Scope || (s.Scope == evidence.ScopeTenant && d.Scope != evidence.ScopeProvider) {
		return nil
	}
	return fmt.Errorf("%w: %s is a duty about a %s; the statement is about a %s", estate.ErrInvalid, d.ID, d.Scope, s.Scope)
}

// Attest adds a person's statement that a duty is met.
func (e *Estate) Attest(ctx context.Context, by access.Principal, duties Duties, c Claim) (evidence.Attestation, error) {
	d, ok := duties.Find(c.Duty)
	switch {
	case !ok:
		return evidence.Attestation{}, fmt.Errorf("duty %q: %w", c.Duty, store.ErrNotFound)
	case !d.Has(responsibility.Attested):
		return evidence.Attestation{}, fmt.Errorf("%w: %s is judged from facts and cannot be attested; to accept the risk, waive it", estate.ErrInvalid, d.ID)
	}
	if err := fit(d, c.Subject); err != nil {
		return evidence.Attestation{}, err
	}
	if err := c.check(e.Now(), d.AttestationFor); err != nil {
		return evidence.Attestation{}, err
	}
	a := evidence.Attestation{
		ID: ident.New("at"), Duty: c.Duty, Subject: c.Subject, By: by.Actor(), Statement: c.Text, Attachments: c.Attachments,
		CreatedAt: e.Now(), Effective: c.Effective, Expires: c.Expires,
	}
	err := e.state(ctx, by, "attestation.create", a.ID, c.Subject, a, func(tx *store.Tx) error {
		if err := answers(tx, by, d, c.Subject); err != nil {
			return err
		}
		return tx.InsertAttestation(a)
	})
	return a, err
}

// answers checks that a duty is stated to be met by the party that answers for
// it. Where a service can move the duty, either may; in the provider's own
// tenants the provider is both.
func answers(tx *store.Tx, by access.Principal, d responsibility.Duty, s evidence.Subject) error {
	if string(by.Role.Side()) == string(d.Party) || len(d.Services) > 0 {
		return nil
	}
	if s.Tenant != "" {
		t, err := tx.Tenant(s.Tenant)
		if err != nil {
			return err
		}
		if t.Own {
			return nil
		}
	}
	return fmt.Errorf("%w: %s is a duty of the %s, who alone can state that it is met", estate.ErrInvalid, d.ID, d.Party)
}

// CheckWaiver refuses a claim that cannot be waived, and sets its times as they
// will be kept.
func (e *Estate) CheckWaiver(duties Duties, c *Claim) error {
	if d, ok := duties.Find(c.Duty); ok {
		if err := fit(d, c.Subject); err != nil {
			return err
		}
	} else if !duties.ServiceRule(c.Duty) {
		return fmt.Errorf("duty or rule %q: %w", c.Duty, store.ErrNotFound)
	}
	return c.check(e.Now(), MaxWaiver)
}

// Waive is WaiveIn in a transaction of its own.
func (e *Estate) Waive(ctx context.Context, by access.Principal, duties Duties, c Claim) (w evidence.Waiver, err error) {
	err = e.Store.Write(ctx, func(tx *store.Tx) error {
		w, err = e.WaiveIn(tx, by, duties, c)
		return err
	})
	return w, err
}

// WaiveIn accepts the risk that a duty, or a rule of a service, is not met.
func (e *Estate) WaiveIn(tx *store.Tx, by access.Principal, duties Duties, c Claim) (evidence.Waiver, error) {
	if err := e.CheckWaiver(duties, &c); err != nil {
		return evidence.Waiver{}, err
	}
	w := evidence.Waiver{
		ID: ident.New("w"), Duty: c.Duty, Subject: c.Subject, AcceptedBy: by.Actor(), Reason: c.Text,
		CreatedAt: e.Now(), Effective: c.Effective, Expires: c.Expires,
	}
	return w, e.stateIn(tx, by, "waiver.create", w.ID, c.Subject, w, func(tx *store.Tx) error { return tx.InsertWaiver(w) })
}

// Withdraw ends an attestation or a waiver ("attestation", "waiver").
func (e *Estate) Withdraw(ctx context.Context, by access.Principal, what, tenant, id string) error {
	var s evidence.Subject
	return e.Store.Write(ctx, func(tx *store.Tx) error {
		switch what {
		case "attestation":
			a, err := tx.Attestation(tenant, id)
			if err != nil {
				return err
			}
			s = a.Subject
		default:
			w, err := tx.Waiver(tenant, id)
			if err != nil {
				return err
			}
			s = w.Subject
		}
		if err := tx.Withdraw(what, tenant, id, e.Now()); err != nil {
			return err
		}
		if err := e.record(tx, by, s.Tenant, what+".withdraw", what+"/"+id, nil); err != nil {
			return err
		}
		return e.rejudgeAbout(tx, s)
	})
}

// state is stateIn in a transaction of its own.
func (e *Estate) state(ctx context.Context, by access.Principal, action, id string, s evidence.Subject, content any, insert func(tx *store.Tx) error) error {
	return e.Store.Write(ctx, func(tx *store.Tx) error { return e.stateIn(tx, by, action, id, s, content, insert) })
}

// stateIn writes a statement with its ledger entry, which carries the digest of
// its content, and judges what it concerns.
func (e *Estate) stateIn(tx *store.Tx, by access.Principal, action, id string, s evidence.Subject, content any, insert func(tx *store.Tx) error) error {
	raw, err := canonical.JSON(content)
	if err != nil {
		return err
	}
	if err := insert(tx); err != nil {
		return err
	}
	what, _, _ := strings.Cut(action, ".")
	if err := e.record(tx, by, s.Tenant, action, what+"/"+id, map[string]string{"statement": canonical.Digest(raw)}); err != nil {
		return err
	}
	return e.rejudgeAbout(tx, s)
}

func (e *Estate) rejudgeAbout(tx *store.Tx, s evidence.Subject) error {
	if err := e.Judge.Rejudge(tx, s); err != nil {
		return err
	}
	if s.Scope != evidence.ScopeTenant {
		return nil
	}
	vdcs, err := tx.VDCs(s.Tenant, store.Page{})
	if err != nil {
		return err
	}
	for _, v := range vdcs {
		if err := e.Judge.Rejudge(tx, evidence.Subject{Scope: evidence.ScopeVDC, Tenant: s.Tenant, ID: v.ID}); err != nil {
			return err
		}
	}
	return e.rejudgeVMs(tx, s.Tenant)
}
