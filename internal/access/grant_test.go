package access_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/demarc/demarc/internal/access"
)

func TestNextGrant(t *testing.T) {
	for _, from := range append([]access.GrantState{""}, access.GrantStates...) {
		for _, to := range access.GrantStates {
			got, err := access.NextGrant(from, to)
			legal := slices.Contains(access.GrantMoves, access.GrantMove{From: from, To: to})
			switch {
			case legal && (err != nil || got != to):
				t.Errorf("%s to %s: %s, %v", from, to, got, err)
			case !legal && (!errors.Is(err, access.ErrGrantMove) || got != from):
				t.Errorf("%s to %s: %s, %v", from, to, got, err)
			}
		}
	}
}

// TestEveryGrantEnds: every state can be reached, every one can end, and from
// what is over nothing comes back.
func TestEveryGrantEnds(t *testing.T) {
	begun, ends := []access.GrantState{""}, map[access.GrantState]bool{}
	for _, s := range access.GrantStates {
		ends[s] = s.Over()
	}
	for range access.GrantStates {
		for _, m := range access.GrantMoves {
			if slices.Contains(begun, m.From) && !slices.Contains(begun, m.To) {
				begun = append(begun, m.To)
			}
			ends[m.From] = ends[m.From] || ends[m.To]
		}
	}
	over := []access.GrantState{access.Expired, access.Revoked, access.Closed, access.Refused, access.Lapsed}
	for _, s := range access.GrantStates {
		if !slices.Contains(begun, s) || !ends[s] {
			t.Errorf("%s: reached %v, can end %v", s, slices.Contains(begun, s), ends[s])
		}
		if s.Over() != slices.Contains(over, s) {
			t.Errorf("%s is over: %v", s, s.Over())
		}
		if s.Open() != (s == access.Requested || s == access.InReview) {
			t.Errorf("%s is open: %v", s, s.Open())
		}
	}
}

func TestAbility(t *testing.T) {
	for _, a := range []access.Ability{{Do: "shell", Target: "hv-1"}, {Do: "console", Target: "vcenter.example"}, {Do: "sftp", Target: "tg-01jz"}} {
		if err := a.Check(); err != nil {
			t.Error(err)
		}
	}
	for _, a := range []access.Ability{
		{}, {Do: "shell"}, {Do: "login", Target: "hv-1"}, {Do: "guest", Target: "web-1"}, {Do: "Shell", Target: "hv-1"}, {Do: "shell", Target: "*"},
		{Do: "shell", Target: "-x"}, {Do: "shell", Target: "a b"}, {Do: "shell", Target: "../x"}, {Do: "shell", Target: strings.Repeat("a", 64)},
		{Do: "exec", Target: "hv-1\n"}, {Do: strings.Repeat("x", 500), Target: "hv-1"},
	} {
		if err := a.Check(); err == nil || len(err.Error()) > 300 {
			t.Errorf("%+v: %v", a, err)
		}
	}
	wide := []access.Ability{{Do: "shell", Target: "hv-1"}, {Do: "sftp", Target: "hv-1"}}
	if !access.Narrower(wide[:1], wide) || access.Narrower(wide, wide[:1]) || !access.Narrower(nil, wide) ||
		access.Narrower([]access.Ability{{Do: "shell", Target: "hv-2"}}, wide) {
		t.Error("narrower")
	}
}
