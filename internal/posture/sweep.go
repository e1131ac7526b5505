package posture

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"github.com/demarc/demarc/internal/evidence"
	"github.com/demarc/demarc/internal/store"
)

// sweepSetting keeps until when subscriptions have been followed, so that a
// start or end that fell into a time without a server is not missed.
const sweepSetting = "posture.followed-until"

// Run judges what time alone changes until ctx ends: evidence that goes stale,
// waivers and attestations that begin or end, subscriptions that begin or end.
// Failures of the store are logged and tried again.
func (e *Engine) Run(ctx context.Context) error {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		if err := e.Sweep(ctx); err != nil && ctx.Err() == nil {
			e.cfg.Log.Error("posture timer", "error", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// Sweep judges everything that is due now.
func (e *Engine) Sweep(ctx context.Context) error {
	if err := e.followSubscriptions(ctx); err != nil {
		return err
	}
	for ctx.Err() == nil {
		var due []evidence.Subject
		err := e.cfg.Store.Read(ctx, func(tx *store.Tx) (err error) {
			due, err = tx.DueSubjects(e.cfg.Now(), writeAtOnce)
			return err
		})
		if err != nil || len(due) == 0 {
			return err
		}
		if err := e.cfg.Store.Write(ctx, func(tx *store.Tx) error { return e.rejudgeEach(tx, due, false) }); err != nil {
			return err
		}
		if len(due) < writeAtOnce {
			return nil
		}
	}
	return nil
}

// followSubscriptions judges the tenants whose subscriptions began or ended
// since the last time.
func (e *Engine) followSubscriptions(ctx context.Context) error {
	now := e.cfg.Now()
	var last time.Time
	var tenants []string
	err := e.cfg.Store.Read(ctx, func(tx *store.Tx) error {
		raw, err := tx.Setting(sweepSetting)
		if errors.Is(err, store.ErrNotFound) {
			return nil
		}
		if err != nil {
			return err
		}
		if len(raw) == 8 {
			last = time.UnixMicro(int64(binary.BigEndian.Uint64(raw)))
		}
		tenants, err = tx.SubscriptionMoments(last, now)
		return err
	})
	if err != nil {
		return err
	}
	if len(tenants) == 0 && now.Sub(last) < time.Hour && !last.IsZero() {
		return nil
	}
	return e.cfg.Store.Write(ctx, func(tx *store.Tx) error {
		for _, t := range tenants {
			err := eachWithin(tx, TenantSubject(t), func(s evidence.Subject) error { return e.Rejudge(tx, s) })
			if err != nil {
				return err
			}
		}
		return tx.PutSetting(sweepSetting, binary.BigEndian.AppendUint64(nil, uint64(now.UnixMicro())))
	})
}

// judgedSetting keeps the digest of the contract that all subjects were last
// judged by.
const judgedSetting = "posture.judged-by"

// CatchUp judges the provider's duties, and every subject if the contract is
// not the one that all were judged by last: the program or a catalogue is new.
func (e *Engine) CatchUp(ctx context.Context) error {
	err := e.cfg.Store.Write(ctx, func(tx *store.Tx) error { return e.Rejudge(tx, evidence.Provider) })
	if err != nil {
		return err
	}
	digest := e.contract.Load().digest()
	var last []byte
	err = e.cfg.Store.Read(ctx, func(tx *store.Tx) (err error) {
		last, err = tx.Setting(judgedSetting)
		return err
	})
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return err
	}
	if string(last) == digest {
		return nil
	}
	if err := e.RejudgeAll(ctx, true, nil); err != nil {
		return err
	}
	return e.cfg.Store.Write(ctx, func(tx *store.Tx) error { return tx.PutSetting(judgedSetting, []byte(digest)) })
}

// digest identifies what duties are judged by.
func (c *contract) digest() string {
	h := sha256.New()
	for _, d := range c.Duties {
		fmt.Fprintf(h, "%s|%s|%v|%v|%v\n", d.ID, d.Party, d.Modes, d.Services, d.NotProvided)
		if a := d.Assessment; a != nil {
			fmt.Fprintf(h, "%s|%s|%s|%s\n", a.Applies, a.Met, a.Message, a.StaleAfter)
		}
	}
	return hex.EncodeToString(h.Sum(nil))
}
