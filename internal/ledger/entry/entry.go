// Package entry defines what one line of the ledger says and how it is
// committed to. It needs no database, so that bundles can be verified anywhere.
package entry

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"
)

// ErrInvalid is wrapped by every refusal of a malformed entry.
var ErrInvalid = errors.New("invalid ledger entry")

// Entry says that an act took place. It holds identifiers and digests only:
// secrets and personal data have no form that it accepts as long as identifiers
// are not made of them.
type Entry struct {
	// Time of the act, to the microsecond. Zero means the time of appending.
	Time time.Time
	// Tenant whose matter it is; empty for the provider's own.
	Tenant string
	// Sequence counts the entries of the tenant from 1, so that a tenant who is
	// shown its entries sees whether one between them is withheld. Appending
	// gives it.
	Sequence int64
	// Actor is who did it: "provider-administrator/p-7", "agent/a-12",
	// "system/ledger".
	Actor string
	// Action is what was done, from the general to the particular:
	// "subscription.create".
	Action string
	// Subject is what it was done to: "vm/v-17".
	Subject string
	// Digests name the documents that the act rests on, as "sha256:<64 hex digits>".
	Digests map[string]string
}

// Limits of an entry.
const (
	MaxIdentifier = 256 // bytes of tenant, actor, action and subject, each
	MaxDigests    = 16
)

// Check reports what is wrong with e.
func (e *Entry) Check() error {
	switch {
	case e.Time.Year() < 1970 || e.Time.Year() > 9999:
		return e.refuse("time", e.Time.String(), "a time between 1970 and 9999")
	case e.Sequence < 0:
		return fmt.Errorf("%w: sequence %d is negative", ErrInvalid, e.Sequence)
	case e.Tenant != "" && !isIdentifier(e.Tenant):
		return e.refuse("tenant", e.Tenant, identifierForm)
	case !isIdentifier(e.Actor):
		return e.refuse("actor", e.Actor, identifierForm)
	case !isAction(e.Action):
		return e.refuse("action", e.Action, "lower-case words joined by dots, such as subscription.create")
	case !isIdentifier(e.Subject):
		return e.refuse("subject", e.Subject, identifierForm)
	case len(e.Digests) > MaxDigests:
		return fmt.Errorf("%w: %d digests; at most %d are kept, so digest a list of them instead", ErrInvalid, len(e.Digests), MaxDigests)
	}
	for name, d := range e.Digests {
		if !isDigestName(name) {
			return e.refuse("name of a digest", name, "a lower-case word")
		}
		if !isDigest(d) {
			return e.refuse("digest "+name, d, "sha256: and 64 lower-case hex digits")
		}
	}
	return nil
}

const identifierForm = "1 to 256 of letters, digits and . _ : / + = - that begin with a letter or digit; names of people and mail addresses do not belong here"

// refuse says what form a member should have had. The value is not repeated:
// it may be the secret that must not be in an entry.
func (e *Entry) refuse(member, value, want string) error {
	if value == "" {
		return fmt.Errorf("%w: %s is empty; want %s", ErrInvalid, member, want)
	}
	return fmt.Errorf("%w: %s (%d bytes) must be %s", ErrInvalid, member, len(value), want)
}

// timeForm is RFC 3339 in UTC with all six digits, so that a time has one form.
const timeForm = "2006-01-02T15:04:05.000000Z"

// AppendCanonical appends e as RFC 8785 canonical JSON to b. e must pass Check,
// whose characters need no escape.
func (e *Entry) AppendCanonical(b []byte) []byte {
	b = append(b, `{"action":"`...)
	b = append(b, e.Action...)
	b = append(b, `","actor":"`...)
	b = append(b, e.Actor...)
	b = append(b, `","digests":`...)
	b = AppendDigests(b, e.Digests)
	b = append(b, `,"sequence":`...)
	b = strconv.AppendInt(b, e.Sequence, 10)
	b = append(b, `,"subject":"`...)
	b = append(b, e.Subject...)
	b = append(b, `","tenant":"`...)
	b = append(b, e.Tenant...)
	b = append(b, `","time":"`...)
	b = e.Time.UTC().AppendFormat(b, timeForm)
	return append(b, `"}`...)
}

// AppendDigests appends the canonical JSON object of digests to b.
func AppendDigests(b []byte, digests map[string]string) []byte {
	b = append(b, '{')
	for i, name := range slices.Sorted(maps.Keys(digests)) {
		if i > 0 {
			b = append(b, ',')
		}
		b = strconv.AppendQuote(b, name)
		b = append(b, ':')
		b = strconv.AppendQuote(b, digests[name])
	}
	return append(b, '}')
}
