// Package activity shows a customer what the provider did in its environment:
// the ledger's entries of the provider's people, and of whatever concerns
// access, in words and with the index that proves them. What is shown is read
// from the ledger and from nowhere else, so that an act cannot be missing here
// and be in the ledger.
package activity

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/demarc/demarc/internal/acts"
	"github.com/demarc/demarc/internal/store"
)

// Act is one act in words.
type Act struct {
	Index  int64 // of the ledger's entry
	Time   time.Time
	Tenant string
	Actor  string
	Action string
	// Subject is what it was done to, as in the ledger.
	Subject string
	Words   string
}

// Describer puts a subject into words, such as "for ticket 4711", given its id;
// "" if there is nothing to say.
type Describer func(tx *store.Tx, id string) (string, error)

// Activity reads acts. It is safe for concurrent use.
type Activity struct {
	Store *store.Store
	// Subjects describes subjects by their type: "vm", "grant". What is not in
	// it is shown by its name in the ledger.
	Subjects map[string]Describer
}

// Query selects acts.
type Query struct {
	Tenant       string
	Since, Until time.Time
	// Cursor is Page.Next of the page before.
	Cursor string
	Limit  int // 1 to 1000; 100 if 0
}

// Page is a part of the acts, newest first.
type Page struct {
	Acts []Act
	// Next, if not empty, is the Cursor of the next page. A page can be short, or
	// empty, and yet have a next one: the work for one page is bounded.
	Next string
}

// ErrCursor: the cursor is not of a page.
var ErrCursor = errors.New("malformed cursor")

// List returns acts of the provider in a tenant, newest first.
func (a *Activity) List(ctx context.Context, q Query) (p Page, err error) {
	f := store.LedgerFilter{Tenant: &q.Tenant, From: q.Since, To: q.Until, ActorPrefix: "provider-", SystemActions: acts.AboutAccess()}
	if q.Cursor != "" {
		if f.Before, err = strconv.ParseInt(q.Cursor, 10, 64); err != nil || f.Before <= 0 {
			return p, ErrCursor
		}
		if f.Before == 1 {
			return p, nil // nothing comes before the first
		}
	}
	if q.Limit <= 0 {
		q.Limit = 100
	}
	err = a.Store.Read(ctx, func(tx *store.Tx) error {
		rows, next, err := tx.SearchLedger(f, min(q.Limit, 1000))
		if err != nil {
			return err
		}
		// Nothing older than since is worth another page.
		if n := len(rows); next > 0 && !q.Since.IsZero() && n < q.Limit {
			oldest, err := tx.TenantLedgerEntries(q.Tenant, next-1, 1)
			if err != nil {
				return err
			}
			if len(oldest) == 1 && oldest[0].Time.Before(q.Since) {
				next = 0
			}
		}
		if next > 1 {
			p.Next = strconv.FormatInt(next, 10)
		}
		p.Acts, err = a.words(tx, rows)
		return err
	})
	return p, err
}

// words puts entries into words.
func (a *Activity) words(tx *store.Tx, rows []store.LedgerEntry) ([]Act, error) {
	out := make([]Act, 0, len(rows))
	said := map[string]string{}
	for _, r := range rows {
		detail, known := said[r.Subject]
		if !known {
			var err error
			if detail, err = a.describe(tx, r.Subject); err != nil {
				return nil, err
			}
			said[r.Subject] = detail
		}
		text := acts.Sentence(r.Actor, r.Action)
		if detail != "" {
			text += " " + detail
		}
		out = append(out, Act{Index: r.Index, Time: r.Time, Tenant: r.Tenant, Actor: r.Actor, Action: r.Action, Subject: r.Subject, Words: text})
	}
	return out, nil
}

func (a *Activity) describe(tx *store.Tx, subject string) (string, error) {
	what, id, _ := strings.Cut(subject, "/")
	d, ok := a.Subjects[what]
	if !ok {
		return "", nil
	}
	text, err := d(tx, id)
	if errors.Is(err, store.ErrNotFound) {
		return "", nil // the ledger outlives what it tells of
	}
	if err != nil {
		return "", fmt.Errorf("describe a %s: %w", what, err)
	}
	return text, nil
}

// shown reports whether an entry is one that List would show.
func shown(r store.LedgerEntry) bool {
	if r.Tenant == "" {
		return false
	}
	a, _ := acts.Of(r.Action)
	return strings.HasPrefix(r.Actor, "provider-") || a.Access && strings.HasPrefix(r.Actor, "system/")
}
