package review

import (
	"encoding/json"
	"time"

	"github.com/demarc/demarc/internal/evidence"
	"github.com/demarc/demarc/internal/store"
)

type logsFact struct {
	LastDays  float64  `json:"last_days" doc:"since the last sign-off, or since there is the tenant if there was none"`
	EveryDays int      `json:"every_days"`
	Signed    bool     `json:"signed" doc:"there was a sign-off"`
	LookedAt  []string `json:"looked_at" doc:"what was looked at, at most 50"`
}

type networkFact struct {
	LastDays          float64 `json:"last_days" doc:"since the last sign-off, or since there is the tenant if there was none"`
	EveryDays         int     `json:"every_days"`
	Signed            bool    `json:"signed" doc:"there was a sign-off"`
	ChangesUnreviewed int     `json:"changes_unreviewed" doc:"lines of the VMs' network configuration that differ from the reviewed ones"`
}

// FactKinds are the facts that this package provides.
var FactKinds = []evidence.Kind{
	evidence.KindOf[logsFact]("review.logs", evidence.ScopeTenant, time.Minute, "The regular review of logs."),
	evidence.KindOf[networkFact]("review.network", evidence.ScopeTenant, time.Minute, "The regular review of the network configuration."),
}

// Source gives the facts about the reviews of tenants; see posture.Source.
type Source struct{}

// Scope implements posture.Source.
func (Source) Scope() evidence.Scope { return evidence.ScopeTenant }

// Facts implements posture.Source.
func (Source) Facts(tx *store.Tx, s evidence.Subject, now time.Time) ([]evidence.Fact, error) {
	plans, err := tx.ReviewPlans(s.ID)
	if err != nil {
		return nil, err
	}
	var out []evidence.Fact
	for _, p := range plans {
		last, again := age(p, now)
		var data any
		if p.Kind == Network {
			changes, _, err := tx.NetworkChanges(s.ID)
			if err != nil {
				return nil, err
			}
			data = networkFact{LastDays: last, EveryDays: p.EveryDays, Signed: p.Signed != nil, ChangesUnreviewed: changes}
		} else {
			f := logsFact{LastDays: last, EveryDays: p.EveryDays, Signed: p.Signed != nil, LookedAt: []string{}}
			if p.Review != "" {
				v, err := tx.Review(s.ID, p.Review)
				if err != nil {
					return nil, err
				}
				for _, l := range v.LookedAt[:min(len(v.LookedAt), maxLines)] {
					f.LookedAt = append(f.LookedAt, l.Title)
				}
			}
			data = f
		}
		raw, err := json.Marshal(data)
		if err != nil {
			return nil, err
		}
		out = append(out, evidence.Fact{Kind: "review." + p.Kind, Data: raw, Again: again})
	}
	return out, nil
}

// age is how old the last review is, in whole days until it is due and above
// the interval afterwards, and when that changes. Whole days, because a finer
// figure would be a changed fact at every look.
func age(p store.ReviewPlan, now time.Time) (last float64, again time.Time) {
	from := p.Since
	if p.Signed != nil {
		from = *p.Signed
	}
	due := DueOf(p)
	passed := max(0, now.Sub(from))
	if now.Before(due) {
		whole := passed.Truncate(24 * time.Hour)
		next := now.Add(24*time.Hour - (passed - whole))
		if due.Before(next) {
			next = due
		}
		return whole.Hours() / 24, next
	}
	hours := passed.Truncate(time.Hour)
	return max(hours.Hours()/24, float64(p.EveryDays)+1.0/24), now.Add(time.Hour)
}
