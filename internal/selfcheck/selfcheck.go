// Package selfcheck gives the facts that the product knows about itself: how
// the ledger stands, what a tenant's contacts are like, where its own
// interfaces listen. Duties that the product carries out are judged by them.
package selfcheck

import (
	"encoding/json"
	"time"

	"github.com/demarc/demarc/internal/estate"
	"github.com/demarc/demarc/internal/evidence"
	"github.com/demarc/demarc/internal/ledger"
	"github.com/demarc/demarc/internal/store"
)

const (
	// again is how soon these facts are looked at again.
	again = time.Minute
	// soon is the same for the ledger while its first verification or its first
	// cosignature is on the way.
	soon = 2 * time.Second
)

type contacts struct {
	Administrators         int `json:"administrators"`
	Verified               int `json:"verified"`
	OldestVerificationDays int `json:"oldest_verification_days"`
	WithMail               int `json:"with_mail"`
	WithTelephone          int `json:"with_telephone"`
}

type contactForm struct {
	Members                []string `json:"members"`
	IdentityNumbersRefused bool     `json:"identity_numbers_refused"`
	Encrypted              bool     `json:"encrypted"`
	KeyPerTenant           bool     `json:"key_per_tenant"`
}

type tenantLedger struct {
	Entries        int     `json:"entries"`
	Readable       bool    `json:"readable"`
	LastEntryHours float64 `json:"last_entry_hours"`
}

type ledgerState struct {
	Entries              int     `json:"entries"`
	CheckpointAgeSeconds float64 `json:"checkpoint_age_seconds"`
	Verified             bool    `json:"verified"`
	VerifiedHoursAgo     float64 `json:"verified_hours_ago"`
	Fault                string  `json:"fault"`
	Witnesses            int     `json:"witnesses"`
	Cosigned             bool    `json:"cosigned"`
	CosignLagSeconds     float64 `json:"cosign_lag_seconds"`
	RetentionDays        int     `json:"retention_days"`
	Transactional        bool    `json:"transactional"`
}

type exposure struct {
	Listeners []Listener `json:"listeners"`
	Public    []string   `json:"public"`
}

// providerForm is what the product can keep about any contact.
type providerForm struct {
	Members                []string `json:"members"`
	IdentityNumbersRefused bool     `json:"identity_numbers_refused"`
	UploadsChecked         bool     `json:"uploads_checked"`
	Encrypted              bool     `json:"encrypted"`
	KeyPerTenant           bool     `json:"key_per_tenant"`
}

// Listener is one of the product's own listening sockets.
type Listener struct {
	Address   string `json:"address"`
	TLS       bool   `json:"tls"`
	Loopback  bool   `json:"loopback"`
	AllowList bool   `json:"allow_list"`
}

// Kinds are the facts that this package provides.
var Kinds = []evidence.Kind{
	evidence.KindOf[contacts]("tenant.contacts", evidence.ScopeTenant, again, "How complete and fresh a tenant's contacts are."),
	evidence.KindOf[contactForm]("tenant.contact_form", evidence.ScopeTenant, again, "What the product can keep about a contact, and how."),
	evidence.KindOf[tenantLedger]("tenant.ledger", evidence.ScopeTenant, again, "The ledger entries that concern a tenant."),
	evidence.KindOf[ledgerState]("ledger.state", evidence.ScopeProvider, again, "How the ledger stands."),
	evidence.KindOf[providerForm]("privacy.contact_form", evidence.ScopeProvider, again, "What the product can keep about any contact, and how."),
	evidence.KindOf[exposure]("management.exposure", evidence.ScopeProvider, again, "Where the product's own interfaces listen."),
}

func fact(kind string, data any, now time.Time) (evidence.Fact, error) {
	raw, err := json.Marshal(data)
	return evidence.Fact{Kind: kind, Data: raw, Again: now.Add(again)}, err
}

// ContactForm looks at what a contact can hold, and tries whether a number of
// an identity document is refused.
type ContactForm func() (members []string, numbersRefused bool)

// Contacts reads a tenant's contacts in clear, for counting.
type Contacts interface {
	Unsealed(tx *store.Tx, tenant string) ([]estate.Contact, error)
}

// Tenants is the source of the facts about tenants.
type Tenants struct {
	Contacts Contacts
	Form     ContactForm
}

// Scope implements posture.Source.
func (Tenants) Scope() evidence.Scope { return evidence.ScopeTenant }

// Facts implements posture.Source.
func (t Tenants) Facts(tx *store.Tx, s evidence.Subject, now time.Time) ([]evidence.Fact, error) {
	list, err := t.Contacts.Unsealed(tx, s.ID)
	if err != nil {
		return nil, err
	}
	key, err := tx.TenantKey(s.ID)
	if err != nil {
		return nil, err
	}
	l, err := ledgerOf(tx, s.ID, now)
	if err != nil {
		return nil, err
	}
	members, refused := t.Form()
	form := contactForm{Members: members, IdentityNumbersRefused: refused, Encrypted: key != nil, KeyPerTenant: key != nil}
	var out []evidence.Fact
	for kind, data := range map[string]any{"tenant.contacts": contactsOf(list, now), "tenant.contact_form": form, "tenant.ledger": l} {
		f, err := fact(kind, data, now)
		if err != nil {
			return nil, err
		}
		out = append(out, f)
	}
	return out, nil
}

func ledgerOf(tx *store.Tx, tenant string, now time.Time) (l tenantLedger, err error) {
	n, err := tx.LastLedgerSequence(tenant)
	if err != nil || n == 0 {
		return l, err
	}
	last, err := tx.TenantLedgerEntries(tenant, n-1, 1)
	if err != nil || len(last) == 0 {
		return l, err
	}
	return tenantLedger{Entries: int(n), Readable: true, LastEntryHours: float64(int(now.Sub(last[0].Time).Hours()))}, nil
}

func contactsOf(list []estate.Contact, now time.Time) (c contacts) {
	for _, x := range list {
		if x.Role != estate.Administrator {
			continue
		}
		c.Administrators++
		if x.Mail != "" {
			c.WithMail++
		}
		if x.Telephone != "" {
			c.WithTelephone++
		}
		if x.Verified == nil {
			continue
		}
		c.Verified++
		c.OldestVerificationDays = max(c.OldestVerificationDays, int(now.Sub(*x.Verified).Hours()/24))
	}
	return c
}

// Provider is the source of the facts about the provider.
type Provider struct {
	Ledger   *ledger.Log
	Verifier *ledger.Verifier
	// Listeners are the product's own, and Witnesses those asked to cosign.
	Listeners []Listener
	Witnesses interface{ State() []ledger.WitnessState }
	Form      ContactForm
}

// Scope implements posture.Source.
func (*Provider) Scope() evidence.Scope { return evidence.ScopeProvider }

// Facts implements posture.Source.
func (p *Provider) Facts(tx *store.Tx, _ evidence.Subject, now time.Time) ([]evidence.Fact, error) {
	// Append takes the transaction of the act: there is no other way in.
	st := ledgerState{Transactional: true}
	kept, err := tx.LedgerKept()
	if err != nil {
		return nil, err
	}
	if kept {
		st.RetentionDays = 3650 // nothing prunes, and the database refuses to delete; ten years are what is promised
	}
	state, err := p.Ledger.StateWithin(tx)
	if err != nil {
		return nil, err
	}
	st.Entries, st.Cosigned = int(state.Entries), state.Cosigned > 0
	st.CheckpointAgeSeconds, st.CosignLagSeconds = waiting(state.UnsignedSince, now), waiting(state.UncosignedSince, now)
	at, fault := p.Verifier.Last()
	for _, w := range p.Witnesses.State() {
		st.Witnesses++
		if w.Contradicted && fault == "" {
			fault = "witness " + w.Name + " has seen another ledger of this name"
		}
	}
	st.Verified, st.Fault = !at.IsZero() && fault == "", fault
	if !at.IsZero() {
		st.VerifiedHoursAgo = float64(int(now.Sub(at).Hours()))
	}
	ex := exposure{Listeners: p.Listeners, Public: []string{}}
	for _, l := range p.Listeners {
		if !l.Loopback && !l.AllowList {
			ex.Public = append(ex.Public, l.Address)
		}
	}
	unsealed, err := tx.TenantsWithoutKey()
	if err != nil {
		return nil, err
	}
	members, refused := p.Form()
	// There is no upload: an attachment is a name and a digest.
	form := providerForm{
		Members: members, IdentityNumbersRefused: refused, UploadsChecked: true, Encrypted: unsealed == 0, KeyPerTenant: unsealed == 0,
	}
	var out []evidence.Fact
	for kind, data := range map[string]any{"ledger.state": st, "management.exposure": ex, "privacy.contact_form": form} {
		f, err := fact(kind, data, now)
		if err != nil {
			return nil, err
		}
		if kind == "ledger.state" && (at.IsZero() || st.Witnesses > 0 && !st.Cosigned) {
			f.Again = now.Add(soon)
		}
		out = append(out, f)
	}
	return out, nil
}

// waiting is for how long the first entry has not been covered, in whole
// minutes: a finer figure would be a changed fact at every look. Zero if all are.
func waiting(since, now time.Time) (seconds float64) {
	if since.IsZero() {
		return 0
	}
	return now.Sub(since).Truncate(time.Minute).Seconds()
}
