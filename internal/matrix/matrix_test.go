package matrix_test

import (
	"errors"
	"testing"
	"time"

	"github.com/demarc/demarc/internal/estate"
	"github.com/demarc/demarc/internal/evidence"
	"github.com/demarc/demarc/internal/lifecycle"
	"github.com/demarc/demarc/internal/matrix"
	"github.com/demarc/demarc/internal/responsibility"
	"github.com/demarc/demarc/internal/store"
	"github.com/demarc/demarc/internal/store/storetest"
)

var noon = time.Date(2026, 3, 3, 12, 0, 0, 0, time.UTC)

func backup(vm, vdc string, from time.Duration, to *time.Time) responsibility.Subscription {
	return responsibility.Subscription{
		ID: "s-" + vm + vdc, Tenant: "t", Service: "backup", From: noon.Add(from), To: to,
		Covers: responsibility.Coverage{All: vm == "" && vdc == "", VM: vm, VDC: vdc},
	}
}

func TestShares(t *testing.T) {
	vms := []estate.VM{
		{ID: "a", VDC: "one", CreatedAt: noon.Add(-time.Hour)}, {ID: "b", VDC: "one", CreatedAt: noon.Add(-time.Hour)}, {ID: "late", VDC: "two", CreatedAt: noon.Add(time.Hour)},
	}
	duty := responsibility.Duty{ID: "D", Party: responsibility.Customer, Scope: evidence.ScopeVM, Services: []string{"backup"}}
	ended := noon.Add(-time.Minute)
	// each share as VM:party
	for name, c := range map[string]struct {
		duty responsibility.Duty
		vms  []estate.VM
		subs []responsibility.Subscription
		at   time.Duration
		want []string
	}{
		"no subscription":       {duty, vms, nil, 0, []string{":customer"}},
		"no service moves it":   {responsibility.Duty{Party: responsibility.Customer, Scope: evidence.ScopeVM}, vms, []responsibility.Subscription{backup("", "", -1, nil)}, 0, []string{":customer"}},
		"of the tenant":         {responsibility.Duty{Party: responsibility.Provider, Scope: evidence.ScopeTenant}, vms, nil, 0, []string{":provider"}},
		"all":                   {duty, vms, []responsibility.Subscription{backup("", "", -1, nil)}, 0, []string{":provider"}},
		"one VM":                {duty, vms, []responsibility.Subscription{backup("a", "", -1, nil)}, 0, []string{"a:provider", "b:customer"}},
		"the other side's VDC":  {duty, vms, []responsibility.Subscription{backup("", "two", -1, nil)}, 0, []string{":customer"}},
		"its VDC":               {duty, vms, []responsibility.Subscription{backup("", "one", -1, nil)}, 0, []string{":provider"}},
		"its VDC, a later VM":   {duty, vms, []responsibility.Subscription{backup("", "one", -1, nil)}, 2 * time.Hour, []string{"a:provider", "b:provider", "late:customer"}},
		"not begun":             {duty, vms, []responsibility.Subscription{backup("", "", time.Second, nil)}, 0, []string{":customer"}},
		"just begun":            {duty, vms, []responsibility.Subscription{backup("", "", 0, nil)}, 0, []string{":provider"}},
		"ended":                 {duty, vms, []responsibility.Subscription{backup("", "", -time.Hour, &ended)}, 0, []string{":customer"}},
		"before it ended":       {duty, vms, []responsibility.Subscription{backup("", "", -time.Hour, &ended)}, -2 * time.Minute, []string{":provider"}},
		"before there were VMs": {duty, vms, []responsibility.Subscription{backup("", "", -3*time.Hour, nil)}, -2 * time.Hour, []string{":provider"}},
	} {
		t.Run(name, func(t *testing.T) {
			got := matrix.Shares(c.duty, c.vms, c.subs, noon.Add(c.at))
			if len(got) != len(c.want) {
				t.Fatalf("%+v, want %v", got, c.want)
			}
			for i, s := range got {
				id := ""
				if s.VM != nil {
					id = s.VM.ID
				}
				if have := id + ":" + string(s.Party); have != c.want[i] {
					t.Errorf("share %d is %s, want %s", i, have, c.want[i])
				}
			}
		})
	}
}

type fixed struct{ c *responsibility.Catalogue }

func (f fixed) At(time.Time) *responsibility.Catalogue { return f.c }

// TestForManyVMs reads more VMs than a page holds.
func TestForManyVMs(t *testing.T) {
	s := storetest.Open(t, storetest.SQLite(t))
	const n = store.MaxPage + 7
	err := s.Write(t.Context(), func(tx *store.Tx) error {
		if err := tx.InsertTenant(&estate.Tenant{ID: "t", Name: "acme", CreatedAt: noon}); err != nil {
			return err
		}
		if err := tx.InsertVDC(&estate.VDC{ID: "one", Tenant: "t", Name: "main", CreatedAt: noon}); err != nil {
			return err
		}
		for i := range n {
			id := "vm-" + string(rune('a'+i%26)) + string(rune('a'+i/26%26)) + string(rune('a'+i/676))
			if err := tx.InsertVM(&estate.VM{ID: id, Tenant: "t", VDC: "one", Name: id, State: lifecycle.Active, CreatedAt: noon}); err != nil {
				return err
			}
		}
		return tx.InsertSubscription(backup("vm-aaa", "", 0, nil), noon)
	})
	if err != nil {
		t.Fatal(err)
	}
	c := &responsibility.Catalogue{Controls: []responsibility.Control{{ID: "C", Duties: []responsibility.Duty{
		{ID: "C/1", Control: "C", Party: responsibility.Customer, Scope: evidence.ScopeVM, Services: []string{"backup"}},
	}}}}
	m, err := matrix.For(t.Context(), s, fixed{c}, "acme", noon)
	if err != nil || len(m.Rows) != 1 || len(m.Rows[0].Shares) != n {
		t.Fatalf("%d shares, %v", len(m.Rows[0].Shares), err)
	}
	counted := 0
	if err := s.Read(t.Context(), func(tx *store.Tx) error {
		return matrix.EachVM(tx, "t", func(string, string) { counted++ })
	}); err != nil || counted != n {
		t.Errorf("%d VMs, %v", counted, err)
	}
	if _, err := matrix.For(t.Context(), s, fixed{c}, "nobody", noon); !errors.Is(err, store.ErrNotFound) {
		t.Error(err)
	}
}
