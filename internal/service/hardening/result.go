package hardening

import (
	"cmp"
	"math"
	"slices"

	"github.com/demarc/demarc/internal/evidence"
)

// Result is the fact hardening.result: how one machine stands against its
// baseline. Lists of rules are sorted by id.
type Result struct {
	Baseline       string     `json:"baseline" doc:"family and level, debian-level-1"`
	Version        string     `json:"version" doc:"version of the rule set; results of different versions do not compare"`
	Rules          int        `json:"rules" doc:"rules in the baseline; the sum of the next five"`
	Passed         int        `json:"passed"`
	Failed         int        `json:"failed"`
	Waived         int        `json:"waived" doc:"rules that are not met, or cannot be judged, and whose risk somebody accepted"`
	NotApplicable  int        `json:"not_applicable" doc:"rules that do not concern this machine or were switched off by its policy"`
	Unknown        int        `json:"unknown" doc:"rules that could not be judged for want of facts"`
	Score          float64    `json:"score" doc:"0 to 100: passed and waived of passed, waived and failed; 0 if nothing was judged"`
	FailedMust     []string   `json:"failed_must" doc:"failed rules of high severity"`
	FailedIDs      []string   `json:"failed_ids" doc:"all failed rules"`
	Categories     []Category `json:"categories"`
	WeakNetwork    []string   `json:"weak_network" doc:"failed rules about weak ciphers, protocol versions and network daemons"`
	DatabaseFailed []string   `json:"database_failed" doc:"failed rules about databases"`
	Results        []Judged   `json:"results"`
}

// Category sums up the rules of one category.
type Category struct {
	Name   string `json:"name"`
	Passed int    `json:"passed"`
	Failed int    `json:"failed"`
}

// Judged is the result of one rule.
type Judged struct {
	ID       string   `json:"id"`
	Title    string   `json:"title"`
	Category string   `json:"category"`
	Severity Severity `json:"severity" enum:"high,medium,low" doc:"after the policy's changes"`
	Status   Status   `json:"status" enum:"pass,fail,waived,not-applicable,unknown"`
	Message  string   `json:"message" doc:"what was found, or why it was not judged"`
	Remedy   string   `json:"remedy,omitempty" doc:"how to mend it; of failed and waived rules"`
}

// Status is what came of a rule.
type Status string

const (
	Pass          Status = "pass"
	Fail          Status = "fail"
	Waived        Status = "waived"
	NotApplicable Status = "not-applicable"
	Unknown       Status = "unknown"
)

// FactResult is the kind of fact that the service provides.
const FactResult = "hardening.result"

var resultKind = evidence.KindOf[Result](FactResult, evidence.ScopeVM, 0,
	"How the machine stands against its hardening baseline.")

// add counts v and puts it into the lists that it belongs to. Rules come
// sorted by id, so the lists are.
func (r *Result) add(rule *compiled, v Judged, categories map[string]*Category) {
	r.Rules++
	r.Results = append(r.Results, v)
	c := categories[v.Category]
	if c == nil {
		c = &Category{Name: v.Category}
		categories[v.Category] = c
	}
	switch v.Status {
	case Pass:
		r.Passed++
		c.Passed++
	case Waived:
		r.Waived++
	case NotApplicable:
		r.NotApplicable++
	case Unknown:
		r.Unknown++
	case Fail:
		r.Failed++
		c.Failed++
		r.FailedIDs = append(r.FailedIDs, v.ID)
		if v.Severity == High {
			r.FailedMust = append(r.FailedMust, v.ID)
		}
		if slices.Contains(rule.Tags, TagWeakNetwork) {
			r.WeakNetwork = append(r.WeakNetwork, v.ID)
		}
		if slices.Contains(rule.Tags, TagDatabase) {
			r.DatabaseFailed = append(r.DatabaseFailed, v.ID)
		}
	}
}

// finish computes the score, to one decimal place: with a thousand rules or
// fewer, 100 means that none failed.
func (r *Result) finish(categories map[string]*Category) {
	if judged := r.Passed + r.Waived + r.Failed; judged > 0 {
		r.Score = math.Round(1000*float64(r.Passed+r.Waived)/float64(judged)) / 10
	}
	r.Categories = make([]Category, 0, len(categories))
	for _, c := range categories {
		r.Categories = append(r.Categories, *c)
	}
	slices.SortFunc(r.Categories, func(a, b Category) int { return cmp.Compare(a.Name, b.Name) })
}
