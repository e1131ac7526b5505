package identity_test

import (
	"errors"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/demarc/demarc/internal/access"
	"github.com/demarc/demarc/internal/estate"
	"github.com/demarc/demarc/internal/identity"
	"github.com/demarc/demarc/internal/keyring"
	"github.com/demarc/demarc/internal/ledger"
	"github.com/demarc/demarc/internal/store"
	"github.com/demarc/demarc/internal/store/storetest"
)

// book keeps what was recorded.
type book struct {
	mu      sync.Mutex
	entries []ledger.Entry
	fail    error
}

func (b *book) Append(_ *store.Tx, es ...ledger.Entry) (int64, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.entries = append(b.entries, es...)
	return 0, b.fail
}

func (b *book) actions() string {
	var all []string
	for _, e := range b.entries {
		all = append(all, e.Action)
	}
	return strings.Join(all, " ")
}

type clock struct {
	now time.Time
	// file is the database's.
	file string
}

func setUp(t testing.TB) (*identity.Identities, *book, *clock) {
	t.Helper()
	dsn := storetest.SQLite(t)
	b, c := &book{}, &clock{time.Date(2026, 3, 3, 12, 0, 0, 0, time.UTC), strings.TrimPrefix(dsn, "sqlite://")}
	keys, err := keyring.Open(filepath.Join(t.TempDir(), "master.key"))
	if err != nil {
		t.Fatal(err)
	}
	return &identity.Identities{
		Store: storetest.Open(t, dsn), Ledger: b, Now: func() time.Time { return c.now }, Keys: keys,
		Cost: identity.Cost{Memory: 8, Time: 1, Threads: 1},
		Site: identity.Site{URL: "https://demarc.example", RPID: "demarc.example", Origins: []string{"https://demarc.example"}},
	}, b, c
}

var root = access.Principal{ID: "p-root", Role: access.ProviderAdministrator}

func TestToken(t *testing.T) {
	ids, b, now := setUp(t)
	ctx := t.Context()
	expires := now.now.Add(time.Hour)
	c, token, err := ids.Issue(ctx, root, access.Principal{Name: "Eva", Role: access.CustomerViewer, Tenant: "t-1"}, &expires)
	if err != nil {
		t.Fatal(err)
	}
	secret := strings.SplitN(token, "_", 3)[2]
	if len(secret) < 40 || strings.Contains(c.SecretHash, secret) || !strings.HasPrefix(token, "dmt_") {
		t.Errorf("token %q, kept %q", token, c.SecretHash)
	}
	got, err := ids.Authenticate(ctx, token)
	if err != nil || got.ID != c.ID || got.Tenant != "t-1" || got.Role != access.CustomerViewer {
		t.Errorf("%+v, %v", got, err)
	}
	for what, bad := range map[string]string{
		"empty": "", "no prefix": strings.TrimPrefix(token, "dmt_"), "cut": token[:len(token)-1], "longer": token + "x", "very long": token + strings.Repeat("x", 300),
		"other secret": strings.Replace(token, secret, strings.Repeat("A", len(secret)), 1), "no such principal": "dmt_zzz_" + secret, "only id": strings.TrimSuffix(token, "_"+secret),
		"upper case": strings.ToUpper(token), "the digest": strings.Replace(token, secret, c.SecretHash, 1), "NUL": "dmt_a\x00b_" + secret,
	} {
		if _, err := ids.Authenticate(ctx, bad); !errors.Is(err, identity.ErrUnauthenticated) {
			t.Errorf("%s: %v", what, err)
		}
	}
	now.now = expires.Add(-time.Microsecond)
	if _, err := ids.Authenticate(ctx, token); err != nil {
		t.Errorf("just before its end: %v", err)
	}
	now.now = expires
	if _, err := ids.Authenticate(ctx, token); !errors.Is(err, identity.ErrUnauthenticated) {
		t.Errorf("at its end: %v", err)
	}
	if ok, err := ids.Stands(ctx, c.ID); ok || err != nil {
		t.Errorf("an expired principal stands: %v", err)
	}
	if b.actions() != "principal.create" || strings.Contains(b.entries[0].Subject, "Eva") {
		t.Errorf("recorded %+v", b.entries)
	}
}

func TestSession(t *testing.T) {
	ids, b, now := setUp(t)
	ctx := t.Context()
	expires := now.now.Add(20 * time.Minute)
	c, token, err := ids.Issue(ctx, root, access.Principal{Name: "Eva", Role: access.ProviderAuditor}, &expires)
	if err != nil {
		t.Fatal(err)
	}
	start := func() string {
		id, err := ids.SignIn(ctx, token)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := ids.Session(ctx, id); err != nil || got.ID != c.ID {
			t.Fatalf("%+v, %v", got, err)
		}
		return id
	}
	refused := func(what, id string) {
		t.Helper()
		if _, err := ids.Session(ctx, id); !errors.Is(err, identity.ErrUnauthenticated) {
			t.Errorf("%s: %v", what, err)
		}
	}
	first, second := start(), start()
	if first == second {
		t.Error("two sessions have one id")
	}
	if err := ids.SignOut(ctx, first); err != nil {
		t.Fatal(err)
	}
	refused("signed out", first)
	refused("none", "")
	refused("a token", token)
	now.now = expires
	refused("expired principal", second)
	now.now = expires.Add(-time.Minute)
	if _, err := ids.SignIn(ctx, "dmt_a_b"); !errors.Is(err, identity.ErrUnauthenticated) {
		t.Errorf("signed in with nonsense: %v", err)
	}
	if _, err := ids.Revoke(ctx, root, c.ID); err != nil {
		t.Fatal(err)
	}
	refused("revoked principal", second)
	if _, err := ids.Authenticate(ctx, token); !errors.Is(err, identity.ErrUnauthenticated) {
		t.Errorf("a revoked token: %v", err)
	}
	if _, err := ids.Revoke(ctx, root, c.ID); !errors.Is(err, store.ErrConflict) {
		t.Errorf("revoked twice: %v", err)
	}
	if b.actions() != "principal.create session.start session.start principal.revoke" {
		t.Error(b.actions())
	}
}

func TestIssueRefuses(t *testing.T) {
	ids, b, _ := setUp(t)
	for what, p := range map[string]access.Principal{
		"no name": {Role: access.ProviderAuditor}, "spaces": {Name: "  ", Role: access.ProviderAuditor}, "control character": {Name: "a\nb", Role: access.ProviderAuditor},
		"long name": {Name: strings.Repeat("x", 101), Role: access.ProviderAuditor}, "unknown role": {Name: "a", Role: "root"}, "system": {Name: "a", Role: "system"},
		"provider of a tenant": {Name: "a", Role: access.ProviderAdministrator, Tenant: "t-1"}, "customer of none": {Name: "a", Role: access.CustomerAdministrator},
	} {
		if _, _, err := ids.Issue(t.Context(), root, p, nil); !errors.Is(err, estate.ErrInvalid) {
			t.Errorf("%s: %v", what, err)
		}
	}
	b.fail = errors.New("the ledger is full")
	c, _, err := ids.Issue(t.Context(), root, access.Principal{Name: "a", Role: access.ProviderAuditor}, nil)
	if !errors.Is(err, b.fail) {
		t.Errorf("%v", err)
	}
	if _, err := ids.Get(t.Context(), c.ID); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("a principal that the ledger does not tell of: %v", err)
	}
}

func TestFirstStart(t *testing.T) {
	ids, b, _ := setUp(t)
	full := errors.New("no room to keep it")
	if token, err := ids.FirstStart(t.Context(), func(string) error { return full }); !errors.Is(err, full) || token != "" {
		t.Errorf("a token that nobody could keep: %q, %v", token, err)
	}
	if len(b.entries) != 0 {
		t.Errorf("recorded %+v", b.entries)
	}
	kept := ""
	token, err := ids.FirstStart(t.Context(), func(s string) error { kept = s; return nil })
	if err != nil || token == "" || kept != token {
		t.Fatalf("%q, kept %q, %v", token, kept, err)
	}
	p, err := ids.Authenticate(t.Context(), token)
	if err != nil || p.Role != access.ProviderAdministrator {
		t.Errorf("%+v, %v", p, err)
	}
	if again, err := ids.FirstStart(t.Context(), func(string) error { t.Error("kept again"); return nil }); err != nil || again != "" {
		t.Errorf("a second one: %q, %v", again, err)
	}
	if len(b.entries) != 1 {
		t.Errorf("recorded %+v", b.entries)
	}
}
