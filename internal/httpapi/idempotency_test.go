package httpapi_test

import (
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/demarc/demarc/api"
	"github.com/demarc/demarc/internal/access"
	"github.com/demarc/demarc/internal/httpapi"
	"github.com/demarc/demarc/internal/identity"
	"github.com/demarc/demarc/internal/store"
)

func keyed(q request, key string) request {
	q.header = map[string]string{"Idempotency-Key": key}
	return q
}

func TestIdempotencyKey(t *testing.T) {
	r := shared
	w := newWorld(t, r, "keys")
	make := func(vm string) request {
		return request{method: "POST", path: w.path("/enrolment-tokens"), token: w.admin.Token, body: api.NewEnrolmentToken{VDC: w.vdc.ID, VMName: vm}}
	}
	first := r.do(keyed(make("one"), "k1"))
	again := r.do(keyed(make("one"), "k1"))
	if first.status != 201 || again.status != 201 || again.body != first.body || again.header.Get("Idempotency-Replayed") != "true" {
		t.Errorf("first %d %s, again %d %s", first.status, first.body, again.status, again.body)
	}
	if a := r.do(keyed(make("other"), "k1")); a.status != 422 {
		t.Errorf("another body: %d %s", a.status, a.body)
	}
	other := make("one")
	other.token = w.owner.Token
	if a := r.do(keyed(other, "k1")); a.status != 201 || a.body == first.body {
		t.Errorf("another principal got the answer of the first: %d %s", a.status, a.body)
	}
	vdc := request{method: "POST", path: w.path("/vdcs"), token: r.root, body: api.NewVDC{Name: "keyed"}}
	made, replayed := r.do(keyed(vdc, "k2")), r.do(keyed(vdc, "k2"))
	if made.status != 201 || replayed.status != 201 || replayed.header.Get("ETag") != made.header.Get("ETag") || made.header.Get("ETag") == "" {
		t.Errorf("ETag %q, replayed %q", made.header.Get("ETag"), replayed.header.Get("ETag"))
	}
}

// TestIdempotencyKeyAtOnce: of calls at the same moment one acts; the others
// get its answer or are told to wait.
func TestIdempotencyKeyAtOnce(t *testing.T) {
	r := shared
	w := newWorld(t, r, "atonce")
	q := keyed(request{method: "POST", path: w.path("/enrolment-tokens"), token: w.admin.Token, body: api.NewEnrolmentToken{VDC: w.vdc.ID, VMName: "once"}}, "together")
	answers := make([]response, 16)
	var wg sync.WaitGroup
	for i := range answers {
		wg.Go(func() { answers[i] = r.do(q) })
	}
	wg.Wait()
	body := ""
	for _, a := range answers {
		switch {
		case a.status == http.StatusConflict && a.header.Get("Retry-After") != "":
		case a.status == 201 && (body == "" || a.body == body):
			body = a.body
		default:
			t.Errorf("%d %s", a.status, a.body)
		}
	}
	tokens := must[api.List[api.EnrolmentToken]](t, r, 200, request{path: w.path("/enrolment-tokens"), token: w.admin.Token})
	n := 0
	for _, tok := range tokens.Items {
		if tok.VMName == "once" {
			n++
		}
	}
	if n != 1 || body == "" {
		t.Errorf("%d tokens were made", n)
	}
	if a := r.do(q); a.body != body {
		t.Errorf("afterwards: %d %s", a.status, a.body)
	}
}

// TestSecretsAtRest looks for secrets and personal data in the database file,
// in the log and in the ledger.
//
//demarc:duty PII/P-8e
func TestSecretsAtRest(t *testing.T) {
	r := shared
	w := newWorld(t, r, "atrest")
	const (
		person, mail, phone = "Zacharias Quellwasser", "zacharias@quellwasser.example", "+43 660 9876543"
	)
	c := must[api.Contact](t, r, 201, keyed(request{method: "POST", path: w.path("/contacts"), token: w.admin.Token, body: api.NewContact{
		Role: "security", Name: person, Mail: mail, Telephone: phone,
	}}, "contact"))
	for _, bad := range []api.NewContact{
		{Role: "security", Name: person + " 17", Mail: mail}, {Role: "security", Name: person, Mail: mail + " x"},
		{Role: "security", Name: person, Mail: mail, Telephone: phone + " or so"}, {Role: "friend", Name: person, Mail: mail, Telephone: phone},
	} {
		a := r.do(request{method: "PUT", path: w.path("/contacts/" + c.ID), token: w.admin.Token, body: bad})
		if a.status != 422 {
			t.Errorf("accepted: %d", a.status)
		}
		for _, s := range []string{person, mail, phone, "quellwasser", "9876543"} {
			if strings.Contains(a.body, s) {
				t.Errorf("the error repeats personal data: %s", a.body)
			}
		}
	}
	tok := must[api.EnrolmentToken](t, r, 201, keyed(request{method: "POST", path: w.path("/enrolment-tokens"), token: w.admin.Token, body: api.NewEnrolmentToken{VDC: w.vdc.ID}}, "token"))
	p := must[api.Principal](t, r, 201, keyed(request{method: "POST", path: "/v1/principals", token: w.owner.Token, body: api.NewPrincipal{Name: "bot", Role: "customer-viewer", Tenant: w.tenant.ID}}, "principal"))
	secret := strings.SplitN(p.Token, "_", 3)[2]
	if a := r.do(keyed(request{method: "POST", path: "/v1/principals", token: w.owner.Token, body: api.NewPrincipal{Name: "bot", Role: "customer-viewer", Tenant: w.tenant.ID}}, "principal")); !strings.Contains(a.body, p.Token) {
		t.Error("the kept answer does not hold the token")
	}
	for _, path := range []string{w.path("/enrolment-tokens"), "/v1/principals", "/v1/whoami", "/v1/ledger/entries", w.path("/agents")} {
		a := r.do(request{path: path, token: w.admin.Token})
		if a.status != 200 || strings.Contains(a.body, secret) || strings.Contains(a.body, strings.Split(tok.Token, ".")[2]) || strings.Contains(a.body, person) {
			t.Errorf("%s shows a secret again: %d", path, a.status)
		}
	}
	secrets := []string{person, mail, phone, "quellwasser", secret, strings.Split(tok.Token, ".")[2], strings.SplitN(r.root, "_", 3)[2]}
	texts := map[string]string{"the log": r.log.String()}
	for _, f := range []string{"", "-wal"} {
		raw, err := os.ReadFile(r.stateFile() + f)
		if err != nil {
			t.Fatal(err)
		}
		texts["state.db"+f] = string(raw)
	}
	err := r.Store().Read(t.Context(), func(tx *store.Tx) error {
		head, err := tx.LedgerHead()
		if err != nil {
			return err
		}
		entries, err := tx.LedgerEntries(max(0, head.Size-500), head.Size)
		for _, e := range entries {
			texts["the ledger"] += e.Actor + e.Action + e.Subject + e.Digests + "\n"
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(texts["the log"]) == 0 || len(texts["the ledger"]) == 0 || !strings.Contains(texts["state.db"]+texts["state.db-wal"], w.tenant.Name) {
		t.Fatal("there is nothing to look through")
	}
	for where, text := range texts {
		for _, s := range secrets {
			if strings.Contains(text, s) {
				t.Errorf("%s holds %q in clear", where, s)
			}
		}
	}
}

// TestProviderReadsOfContacts: the customer sees who looked.
func TestProviderReadsOfContacts(t *testing.T) {
	r := shared
	w := newWorld(t, r, "looks")
	count := func() (n int) {
		l := must[api.List[api.LedgerEntry]](t, r, 200, request{path: "/v1/ledger/entries?action=contact.read", token: w.admin.Token})
		return len(l.Items)
	}
	before := count()
	for _, path := range []string{w.path("/contacts"), w.path("/contacts/" + w.contact.ID)} {
		must[any](t, r, 200, request{path: path, token: w.viewer.Token})
		if n := count(); n != before {
			t.Errorf("a customer's own look at %s is recorded", path)
		}
		must[any](t, r, 200, request{path: path, token: r.root})
		if before++; count() != before {
			t.Errorf("the provider's look at %s is not recorded", path)
		}
	}
}

// TestAnswersEndWithTheRole: whoever may do less than before does not get an
// answer of before by its Idempotency-Key.
func TestAnswersEndWithTheRole(t *testing.T) {
	r := shared
	w := newWorld(t, r, "lessrole")
	_, secret, err := r.Identities().Invite(t.Context(), r.actor(access.CustomerOwner, w.tenant.ID), identity.Invitation{
		Name: "somebody", Mail: r.name("somebody") + "@example.org", Role: access.CustomerAdministrator, Tenant: w.tenant.ID,
	})
	if err != nil {
		t.Fatal(err)
	}
	in, err := r.Identities().JoinWithPassword(t.Context(), identity.Visit{From: "127.0.0.1:1"}, secret, "", "a long and plain sentence")
	if err != nil {
		t.Fatal(err)
	}
	ask := func() response {
		q := keyed(request{method: "POST", path: w.path("/enrolment-tokens"), body: api.NewEnrolmentToken{VDC: w.vdc.ID}}, "of-the-role")
		q.header["Cookie"], q.header["Sec-Fetch-Site"] = httpapi.SessionCookie+"="+in.Secret, "same-origin"
		return r.do(q)
	}
	first := ask()
	if again := ask(); first.status != 201 || again.body != first.body {
		t.Fatalf("%d %s, again %d %s", first.status, clip(first.body), again.status, clip(again.body))
	}
	must[any](t, r, 200, request{method: "POST", path: "/v1/people/" + in.Person.ID + "/role", token: w.owner.Token, body: api.ChangeRole{Role: "customer-viewer"}})
	if a := ask(); a.status < 400 || strings.Contains(a.body, decode[api.EnrolmentToken](t, first).Token) {
		t.Errorf("with less of a role: %d %s", a.status, clip(a.body))
	}
}
