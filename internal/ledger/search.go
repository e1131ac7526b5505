package ledger

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/demarc/demarc/internal/ledger/entry"
	"github.com/demarc/demarc/internal/store"
)

// Line is an entry where it stands. The salt is for those who may read the
// entry: with it, they can compute the leaf.
type Line struct {
	Index int64
	Entry
	Salt []byte
}

// Filter selects lines. Empty members select all.
type Filter struct {
	Tenant   *string // "" is the provider
	Action   string
	Subject  string
	From, To time.Time // From ≤ time < To
	// Cursor is Page.Next of the page before.
	Cursor string
	// Limit is the greatest number of lines, 100 if 0 and never above 1000.
	Limit int
}

// Page is a part of a search's result.
type Page struct {
	Lines []Line
	// Next, if not empty, is the Cursor of the next page. A page can be short, or
	// empty, and yet have a next one: the work for one page is bounded.
	Next string
}

// ErrCursor: Filter.Cursor is not of a page.
var ErrCursor = errors.New("malformed cursor")

// Search returns a page of lines, newest first.
func (l *Log) Search(ctx context.Context, f Filter) (page Page, err error) {
	sf := store.LedgerFilter{Tenant: f.Tenant, Action: f.Action, Subject: f.Subject, From: f.From, To: f.To}
	if f.Cursor != "" {
		if sf.Before, err = strconv.ParseInt(f.Cursor, 10, 64); err != nil || sf.Before < 0 {
			return Page{}, ErrCursor
		}
		if sf.Before == 0 { // nothing comes before the first
			return Page{}, nil
		}
	}
	limit := f.Limit
	if limit <= 0 {
		limit = 100
	}
	limit = min(limit, 1000)
	err = l.store.Read(ctx, func(tx *store.Tx) error {
		rows, next, err := tx.SearchLedger(sf, limit)
		if err != nil {
			return err
		}
		page.Lines, err = lines(rows)
		if next > 0 {
			page.Next = strconv.FormatInt(next, 10)
		}
		return err
	})
	return page, err
}

// Line returns the entry at index, or ErrRange.
func (l *Log) Line(ctx context.Context, index int64) (line Line, err error) {
	err = l.store.Read(ctx, func(tx *store.Tx) error {
		rows, err := tx.LedgerEntries(index, index+1)
		if err != nil {
			return err
		}
		if len(rows) == 0 {
			return fmt.Errorf("%w: no entry %d", ErrRange, index)
		}
		line, err = lineOf(&rows[0])
		return err
	})
	return line, err
}

func lines(rows []store.LedgerEntry) ([]Line, error) {
	all := make([]Line, len(rows))
	for i := range rows {
		var err error
		if all[i], err = lineOf(&rows[i]); err != nil {
			return nil, err
		}
	}
	return all, nil
}

func lineOf(r *store.LedgerEntry) (Line, error) {
	digests, err := entry.ParseDigests(r.Digests)
	if err != nil {
		return Line{}, fmt.Errorf("%w: entry %d: %w", ErrCorrupt, r.Index, err)
	}
	return Line{Index: r.Index, Salt: r.Salt, Entry: Entry{
		Time: r.Time, Tenant: r.Tenant, Sequence: r.Sequence, Actor: r.Actor, Action: r.Action, Subject: r.Subject, Digests: digests,
	}}, nil
}
