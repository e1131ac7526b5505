package httpapi_test

import (
	"fmt"
	"net/url"
	"slices"
	"sync"
	"testing"

	"github.com/demarc/demarc/api"
)

// walk reads a whole list in pages of that size.
func walk(t *testing.T, r *rig, path, token string, size int, between func()) []string {
	t.Helper()
	var ids []string
	cursor := ""
	for range 10_000 {
		page := must[api.List[map[string]any]](t, r, 200, request{path: fmt.Sprintf("%slimit=%d&cursor=%s", path, size, url.QueryEscape(cursor)), token: token})
		if len(page.Items) > size {
			t.Fatalf("a page of %d has %d items", size, len(page.Items))
		}
		for _, it := range page.Items {
			if id, ok := it["id"]; ok {
				ids = append(ids, id.(string))
			} else {
				ids = append(ids, fmt.Sprint(it["duty"], it["index"], it["subject"]))
			}
		}
		if cursor = page.Next; cursor == "" {
			return ids
		}
		between()
	}
	t.Fatal("the list has no end")
	return nil
}

// TestPagesUnderInserts walks lists in small pages while others add to them:
// what was there before comes exactly once.
func TestPagesUnderInserts(t *testing.T) {
	r := shared
	w := newWorld(t, r, "pages")
	add := func() {
		must[api.VM](t, r, 201, request{method: "POST", path: w.path("/vms"), token: w.owner.Token, body: api.NewVM{VDC: w.vdc.ID, Name: r.name("page-vm")}})
		w.newContact(t, r, "more")
		w.newToken(t, r, "")
		w.newStatement(t, r, "attestation", "more")
		w.newStatement(t, r, "waiver", "more")
	}
	for range 6 {
		add()
	}
	for name, path := range map[string]string{
		"tenants": "/v1/tenants?", "vdcs": w.path("/vdcs?"), "vms": w.path("/vms?"), "contacts": w.path("/contacts?"), "tokens": w.path("/enrolment-tokens?"),
		"agents": w.path("/agents?"), "attestations": w.path("/attestations?"), "waivers": w.path("/waivers?"), "duties": "/v1/duties?",
		"posture": "/v1/posture?tenant=" + w.tenant.ID + "&", "entries": "/v1/ledger/entries?tenant=" + w.tenant.ID + "&",
		"principals": "/v1/principals?tenant=" + w.tenant.ID + "&",
	} {
		t.Run(name, func(t *testing.T) {
			before := walk(t, r, path, r.root, 1000, func() {})
			if len(before) == 0 {
				t.Fatal("nothing to walk")
			}
			var wg sync.WaitGroup
			inserts := 0
			got := walk(t, r, path, r.root, 3, func() {
				if inserts++; inserts < 5 {
					wg.Go(add)
				}
			})
			wg.Wait()
			seen := map[string]int{}
			for _, id := range got {
				if seen[id]++; seen[id] > 1 {
					t.Errorf("%s came twice", id)
				}
			}
			for _, id := range before {
				if !slices.Contains(got, id) {
					t.Errorf("%s was left out", id)
				}
			}
		})
	}
}
