package httpapi_test

import (
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/demarc/demarc/api"
	"github.com/demarc/demarc/internal/ident"
	"github.com/demarc/demarc/internal/store"
)

// openReview returns the open review of the tenant's logs.
func (w world) openReview(t testing.TB, r *rig) string { return reviewOf(t, r, w.tenant.ID) }

func providerReview(t testing.TB, r *rig) string { return reviewOf(t, r, "") }

func reviewOf(t testing.TB, r *rig, tenant string) string {
	t.Helper()
	if err := r.Reviews().Sweep(t.Context()); err != nil {
		t.Fatal(err)
	}
	list, err := r.Reviews().List(t.Context(), tenant, store.Page{})
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range list {
		if v.Kind == "logs" {
			return v.ID
		}
	}
	t.Fatal("there is no review of logs")
	return ""
}

// newIncident opens an incident on the world's VM.
func (w world) newIncident(t testing.TB, r *rig) string {
	t.Helper()
	i := store.Incident{
		ID: ident.New("in"), Tenant: w.tenant.ID, Kind: "guest-login", VM: w.vm.ID, Happened: time.Now(), Opened: time.Now(),
		Words: "login on " + w.vm.Name, Evidence: map[string]string{},
	}
	i.Occurrence = i.ID
	err := r.Store().Write(t.Context(), func(tx *store.Tx) error { _, err := tx.OpenIncident(i); return err })
	if err != nil {
		t.Fatal(err)
	}
	return i.ID
}

func newIdentity(t testing.TB, r *rig) string {
	return must[api.ProviderIdentity](t, r, 201, request{method: "POST", path: "/v1/provider/identities", token: r.root, body: api.NewProviderIdentity{
		Kind: "account", Value: r.name("fresh"),
	}}).ID
}

// A customer's owner looks at a review and signs it off; the provider cannot.
func TestReviewOfATenant(t *testing.T) {
	r := shared
	w := newWorld(t, r, "reviewmark")
	path := w.path("/reviews/" + w.review)
	sheet := must[api.Review](t, r, 200, request{path: path, token: w.owner.Token})
	if sheet.State != "open" || len(sheet.Items) == 0 || sheet.Through == 0 {
		t.Fatalf("%+v", sheet)
	}
	in := api.ReviewSignOff{Through: sheet.Through, Outcome: "fine"}
	for _, i := range sheet.Items {
		in.LookedAt = append(in.LookedAt, api.ReviewSeen{Item: i.ID, Digest: i.Digest})
	}
	if a := r.do(request{method: "POST", path: path + "/sign-off", token: r.root, body: in}); a.status != http.StatusForbidden {
		t.Errorf("the provider signed off: %d %s", a.status, a.body)
	}
	none := in
	none.LookedAt = []api.ReviewSeen{}
	if a := r.do(request{method: "POST", path: path + "/sign-off", token: w.owner.Token, body: none}); a.status != http.StatusUnprocessableEntity || !strings.Contains(a.body, "looked at") {
		t.Errorf("signed off nothing: %d %s", a.status, a.body)
	}
	done := must[api.Review](t, r, 200, request{method: "POST", path: path + "/sign-off", token: w.owner.Token, body: in})
	if done.State != "signed" || len(done.LookedAt) != len(in.LookedAt) || !strings.HasPrefix(done.SignedBy, "customer-owner/") {
		t.Errorf("%+v", done)
	}
	if a := r.do(request{method: "POST", path: path + "/sign-off", token: w.owner.Token, body: in}); a.status != http.StatusConflict {
		t.Errorf("signed off twice: %d %s", a.status, a.body)
	}
	verdicts := must[api.List[api.Verdict]](t, r, 200, request{path: "/v1/posture?duty=CLD.12.1.5/C-5.3b&tenant=" + w.tenant.ID, token: w.owner.Token})
	if len(verdicts.Items) != 1 || verdicts.Items[0].Verdict != "met" {
		t.Errorf("right after the sign-off: %+v", verdicts.Items)
	}
}

// What the provider does shows to the tenant, in words, and to no other.
func TestActivity(t *testing.T) {
	r := shared
	w, other := newWorld(t, r, "seenmark"), newWorld(t, r, "unseenmark")
	list := must[api.List[api.Activity]](t, r, 200, request{path: w.path("/activity?limit=1000"), token: w.viewer.Token})
	if len(list.Items) == 0 {
		t.Fatal("nothing is shown")
	}
	for _, a := range list.Items {
		if a.Tenant != w.tenant.ID || !strings.Contains(a.Words, " ") || strings.Contains(a.Words, "did "+a.Action) {
			t.Errorf("%+v", a)
		}
		e := must[api.LedgerEntry](t, r, 200, request{path: "/v1/ledger/entries/" + strconv.FormatInt(a.Index, 10), token: w.viewer.Token})
		if e.Action != a.Action || e.Actor != a.Actor || !e.Time.Equal(a.Time) {
			t.Errorf("the ledger has %+v, shown is %+v", e, a)
		}
	}
	if a := r.do(request{path: other.path("/activity"), token: w.viewer.Token}); a.status != http.StatusNotFound {
		t.Errorf("another tenant's: %d", a.status)
	}
}

// Who the provider's people are shows to nobody else, though the duty that
// rests on it is the customer's to see.
func TestIdentitiesAreWithheld(t *testing.T) {
	r := shared
	w := newWorld(t, r, "withheld")
	name := r.name("secretops")
	must[api.ProviderIdentity](t, r, 201, request{method: "POST", path: "/v1/provider/identities", token: r.root, body: api.NewProviderIdentity{Kind: "account", Value: name}})
	path := "/v1/explain?duty=PII/P-8m&tenant=" + w.tenant.ID + "&vm=" + w.vm.ID
	if a := r.do(request{path: path, token: r.root}); a.status != 200 || !strings.Contains(a.body, name) {
		t.Fatalf("the provider: %d %s", a.status, a.body)
	}
	a := r.do(request{path: path, token: w.owner.Token})
	if a.status != 200 || strings.Contains(a.body, name) || !strings.Contains(a.body, "provider.identities") {
		t.Errorf("the customer: %d %s", a.status, a.body)
	}
}

// A tenant without sessions has none that is unexplained, and what could not be
// compared is said.
func TestSessionAudit(t *testing.T) {
	r := shared
	w := newWorld(t, r, "audited")
	got := must[api.SessionAudit](t, r, 200, request{path: w.path("/session-audit"), token: w.viewer.Token})
	if got.Tenant != w.tenant.ID || got.Unexplained != 0 || len(got.Sources) == 0 {
		t.Errorf("%+v", got)
	}
	for _, s := range got.Sources {
		if s.Name == "platform events" && s.Seen {
			t.Error("platform events are said to be seen")
		}
	}
}
