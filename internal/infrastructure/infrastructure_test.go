package infrastructure_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/demarc/demarc/internal/assessment"
	"github.com/demarc/demarc/internal/estate"
	"github.com/demarc/demarc/internal/evidence"
	"github.com/demarc/demarc/internal/infrastructure"
	"github.com/demarc/demarc/internal/lifecycle"
	"github.com/demarc/demarc/internal/store"
	"github.com/demarc/demarc/internal/store/storetest"
)

var noon = time.Date(2026, 3, 3, 12, 0, 0, 0, time.UTC)

// host makes a tenant with one VM that has told the facts given, by kind.
func host(t *testing.T, s *store.Store, tenant string, own bool, told time.Time, facts map[string]string) {
	t.Helper()
	err := s.Write(t.Context(), func(tx *store.Tx) error {
		if err := tx.InsertTenant(&estate.Tenant{ID: tenant, Name: tenant, Own: own, CreatedAt: noon}); err != nil {
			return err
		}
		if err := tx.InsertVDC(&estate.VDC{ID: "vdc-" + tenant, Tenant: tenant, Name: "main", CreatedAt: noon}); err != nil {
			return err
		}
		vm := estate.VM{ID: "vm-" + tenant, Tenant: tenant, VDC: "vdc-" + tenant, Name: "host-" + tenant, State: lifecycle.Active, CreatedAt: noon}
		if err := tx.InsertVM(&vm); err != nil {
			return err
		}
		var all []evidence.Fact
		for kind, data := range facts {
			all = append(all, evidence.Fact{
				Subject: evidence.Subject{Scope: evidence.ScopeVM, Tenant: tenant, ID: vm.ID}, Kind: kind, Data: []byte(data), Digest: "d", ObservedAt: told, ChangedAt: told, Source: "agent/a",
			})
		}
		return tx.PutFacts(all)
	})
	if err != nil {
		t.Fatal(err)
	}
}

func ask(t *testing.T, s *store.Store) map[string]string {
	t.Helper()
	forms, err := assessment.NewEnvironment(infrastructure.Kinds)
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]string{}
	err = s.Read(t.Context(), func(tx *store.Tx) error {
		all, err := infrastructure.Source{}.Facts(tx, evidence.Provider, noon)
		for _, f := range all {
			if _, err := forms.Decode(f.Kind, f.Data); err != nil {
				t.Errorf("%s: %v", f.Kind, err)
			}
			out[f.Kind] = string(f.Data)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestOwnHosts(t *testing.T) {
	s := storetest.Open(t, storetest.SQLite(t))
	if got := ask(t, s); !strings.Contains(got["platform.builds"], `"hosts":[]`) || !strings.Contains(got["platform.hardening"], `"hosts":0`) {
		t.Errorf("without hosts: %v", got)
	}
	good := map[string]string{
		"hardening.result": `{"baseline":"debian-level-1","failed_must":[],"score":97}`,
		"host.os":          `{"name":"Debian 12","kernel":"6.1.0-1"}`,
		"host.updates":     `{"pending_security":0,"oldest_days":0}`,
	}
	late := map[string]string{
		"hardening.result": `{"baseline":"rhel-level-1","failed_must":["ssh-no-root"],"score":61.5}`,
		"host.os":          `{"name":"RHEL 9","kernel":"5.14"}`,
		"host.updates":     `{"pending_security":3,"oldest_days":45}`,
	}
	host(t, s, "t-own", true, noon.Add(-time.Hour), good)
	host(t, s, "t-late", true, noon.Add(-time.Hour), late)
	host(t, s, "t-silent", true, noon.Add(-25*time.Hour), good)
	host(t, s, "t-customer", false, noon, late)
	got := ask(t, s)
	var h struct {
		Baseline   string
		Hosts      int
		Unread     []string
		FailedMust []string `json:"failed_must"`
		Score      float64
	}
	if err := json.Unmarshal([]byte(got["platform.hardening"]), &h); err != nil {
		t.Fatal(err)
	}
	if h.Hosts != 3 || len(h.Unread) != 1 || h.Unread[0] != "host-t-silent" || len(h.FailedMust) != 1 || h.FailedMust[0] != "host-t-late: ssh-no-root" || h.Score != 61.5 ||
		!strings.Contains(h.Baseline, "debian") || !strings.Contains(h.Baseline, "rhel") {
		t.Errorf("%+v", h)
	}
	var b struct {
		Hosts []struct {
			Name, Latest string
			BehindDays   int `json:"behind_days"`
		}
		Unread []string
	}
	if err := json.Unmarshal([]byte(got["platform.builds"]), &b); err != nil {
		t.Fatal(err)
	}
	if len(b.Hosts) != 2 || len(b.Unread) != 1 {
		t.Fatalf("%+v", b)
	}
	for _, x := range b.Hosts {
		if late := x.Name == "host-t-late"; late != (x.BehindDays == 45) || late != (x.Latest == "3 security updates wait") {
			t.Errorf("%+v", x)
		}
	}
}
