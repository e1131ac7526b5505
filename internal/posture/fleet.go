package posture

import (
	"context"
	"errors"
	"runtime"
	"slices"
	"sync"

	"github.com/demarc/demarc/internal/evidence"
	"github.com/demarc/demarc/internal/store"
)

// A page of subjects is read in one transaction. Fewer are written in one, so
// that what agents report meanwhile does not wait for long.
const (
	readAtOnce  = 50
	writeAtOnce = 16
)

// RejudgeAll judges every duty of every subject by the contract in force and
// reports progress through done, if it is given. It can be repeated. derive
// says that services derive all their facts again too: they changed, not only
// the catalogue.
//
// Most verdicts of a fleet stand. So subjects are judged side by side without
// writing, and only those for which something differs are judged once more in
// the transaction that writes: by the facts as they are then.
func (e *Engine) RejudgeAll(ctx context.Context, derive bool, done func(subjects int)) error {
	defer e.cfg.Heavy()()
	all, err := e.subjects(ctx)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	pages := make(chan []evidence.Subject)
	var mu sync.Mutex // guards count and errs
	var count int
	var errs []error
	var workers sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		workers.Go(func() {
			for page := range pages {
				err := e.rejudgePage(ctx, page, derive)
				mu.Lock()
				if err != nil {
					errs = append(errs, err)
					cancel()
				} else if count += len(page); done != nil {
					done(count)
				}
				mu.Unlock()
			}
		})
	}
	for len(all) > 0 && ctx.Err() == nil {
		n := min(readAtOnce, len(all))
		select {
		case pages <- all[:n]:
			all = all[n:]
		case <-ctx.Done():
		}
	}
	close(pages)
	workers.Wait()
	if len(errs) == 0 && len(all) > 0 {
		errs = append(errs, ctx.Err())
	}
	return errors.Join(errs...)
}

// rejudgePage judges the subjects and writes what differs.
func (e *Engine) rejudgePage(ctx context.Context, page []evidence.Subject, derive bool) error {
	var differ []evidence.Subject
	err := e.cfg.Store.Read(ctx, func(tx *store.Tx) error {
		for _, s := range page {
			v, err := e.look(tx, s)
			if errors.Is(err, store.ErrNotFound) {
				continue // deleted meanwhile
			}
			if err != nil {
				return err
			}
			v.looking = true
			if err := e.rejudge(v, derive); err != nil {
				return err
			}
			if v.differs {
				differ = append(differ, s)
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	for some := range slices.Chunk(differ, writeAtOnce) {
		if err := e.cfg.Store.Write(ctx, func(tx *store.Tx) error { return e.rejudgeEach(tx, some, derive) }); err != nil {
			return err
		}
	}
	return nil
}

// subjects lists everything that duties are about, as names only.
func (e *Engine) subjects(ctx context.Context) ([]evidence.Subject, error) {
	all := []evidence.Subject{evidence.Provider}
	err := e.cfg.Store.Read(ctx, func(tx *store.Tx) error {
		return eachWithin(tx, evidence.Provider, func(s evidence.Subject) error {
			all = append(all, s)
			return nil
		})
	})
	return all, err
}
