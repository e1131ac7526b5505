package grant

import (
	"fmt"
	"time"

	"github.com/demarc/demarc/internal/access"
	"github.com/demarc/demarc/internal/store"
)

// Next says in words what happens next with a grant of the tenant of that name.
func Next(x store.Grant, tenant string, now time.Time) string {
	s := next(x, tenant, now)
	switch x.Notice {
	case store.NoticeOwed:
		s += fmt.Sprintf("; %s must be told what was done by %s", tenant, when(x.NoticeDue, now))
	case store.NoticeOverdue:
		s += fmt.Sprintf("; %s should have been told what was done by %s: tell it now", tenant, when(x.NoticeDue, now))
	case store.NoticeGiven:
		s += fmt.Sprintf("; waits for %s to acknowledge or dispute the notice", tenant)
	case store.NoticeDisputed:
		s += fmt.Sprintf("; %s disputes that it was an emergency", tenant)
	}
	return s
}

func next(x store.Grant, tenant string, now time.Time) string {
	switch x.State {
	case access.Requested:
		return fmt.Sprintf("waits for %s's approvers until %s", tenant, when(x.LapsesAt, now))
	case access.InReview:
		return fmt.Sprintf("%s's approvers asked for more; the holder has to answer, and they to decide, until %s", tenant, when(x.LapsesAt, now))
	case access.Approved:
		return fmt.Sprintf("begins at %s, ends at %s", when(x.From, now), when(x.Until, now))
	case access.InForce:
		return fmt.Sprintf("can be used until %s", when(x.Until, now))
	case access.Expired:
		return fmt.Sprintf("its time ran out at %s", when(x.Until, now))
	case access.Lapsed:
		return fmt.Sprintf("nobody decided until %s; it has to be asked for anew", when(x.LapsesAt, now))
	}
	return fmt.Sprintf("%s at %s", x.State, when(x.EndedAt, now))
}

// when is a time for people: the weekday will do within six days.
func when(t, now time.Time) string {
	t = t.UTC()
	if d := t.Sub(now); d > -12*time.Hour && d < 6*24*time.Hour {
		return t.Format("Mon 15:04 UTC")
	}
	return moment(t)
}
