package identity_test

import (
	"bytes"
	"errors"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/demarc/demarc/internal/access"
	"github.com/demarc/demarc/internal/estate"
	"github.com/demarc/demarc/internal/identity"
	"github.com/demarc/demarc/internal/store"
)

func TestInvitation(t *testing.T) {
	ids, b, now := setUp(t)
	tenantWithKey(t, ids, "t-1")
	ctx := t.Context()
	v, secret, err := ids.Invite(ctx, root, identity.Invitation{Name: "Ona Owner", Mail: "ona@example.org", Role: access.CustomerOwner, Tenant: "t-1"})
	if err != nil {
		t.Fatal(err)
	}
	if link := ids.Link(secret); link != "https://demarc.example/join#"+secret || !strings.HasPrefix(secret, "dmi_") {
		t.Error(link)
	}
	for what, bad := range map[string]string{"cut": secret[:len(secret)-1], "none": "", "the id": v.ID, "very long": secret + strings.Repeat("x", 200), "other case": strings.ToUpper(secret)} {
		if _, err := ids.Invited(ctx, bad); !errors.Is(err, identity.ErrInvitation) {
			t.Errorf("%s: %v", what, err)
		}
	}
	if got, err := ids.Invited(ctx, secret); err != nil || got.Name != "Ona Owner" || got.Role != access.CustomerOwner {
		t.Errorf("%+v, %v", got, err)
	}
	now.now = v.Expires
	if _, err := ids.JoinWithPassword(ctx, here, secret, "", goodPassword); !errors.Is(err, identity.ErrInvitation) {
		t.Errorf("expired: %v", err)
	}
	now.now = v.Expires.Add(-time.Second)
	if _, err := ids.JoinWithPassword(ctx, here, secret, "", goodPassword); err != nil {
		t.Error(err)
	}
	if _, err := ids.JoinWithPassword(ctx, here, secret, "other", goodPassword); !errors.Is(err, identity.ErrInvitation) {
		t.Errorf("twice: %v", err)
	}
	if _, err := ids.RevokeInvitation(ctx, root, v.ID); !errors.Is(err, store.ErrConflict) {
		t.Errorf("revoked after it was accepted: %v", err)
	}
	other, secret, err := ids.Invite(ctx, root, identity.Invitation{Name: "Vi", Role: access.CustomerViewer, Tenant: "t-1"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := ids.RevokeInvitation(ctx, root, other.ID); err != nil {
		t.Fatal(err)
	}
	if _, err := ids.BeginJoinWithPasskey(ctx, secret); !errors.Is(err, identity.ErrInvitation) {
		t.Errorf("revoked: %v", err)
	}
	for what, bad := range map[string]identity.Invitation{
		"no name": {Role: access.CustomerViewer, Tenant: "t-1"}, "two lines": {Name: "a\nb", Role: access.CustomerViewer, Tenant: "t-1"},
		"no mail address": {Name: "a", Mail: "a b", Role: access.CustomerViewer, Tenant: "t-1"}, "a provider's role in a tenant": {Name: "a", Role: access.ProviderAdministrator, Tenant: "t-1"},
		"a customer's role in none": {Name: "a", Role: access.CustomerOwner}, "no role": {Name: "a", Role: "root"}, "system": {Name: "a", Role: "system"},
		"a second first owner": {Name: "a", Role: access.CustomerOwner, Tenant: "t-1", FirstOwner: true},
	} {
		if _, _, err := ids.Invite(ctx, root, bad); !errors.Is(err, estate.ErrInvalid) && !errors.Is(err, store.ErrConflict) {
			t.Errorf("%s: %v", what, err)
		}
	}
	if got := b.actions(); got != "invitation.create invitation.accept session.start invitation.create invitation.revoke" {
		t.Error(got)
	}
}

// TestThousandUsesOfOneInvitation: exactly one of them becomes a person.
func TestThousandUsesOfOneInvitation(t *testing.T) {
	ids, _, _ := setUp(t)
	tenantWithKey(t, ids, "t-1")
	inv := invited(t, ids, access.CustomerOwner, "t-1", "Ona")
	var joined, refused atomic.Int64
	var all sync.WaitGroup
	gate := make(chan struct{})
	for range 1000 {
		all.Go(func() {
			<-gate
			_, err := ids.JoinWithPassword(t.Context(), here, inv, "", goodPassword)
			switch {
			case err == nil:
				joined.Add(1)
			case errors.Is(err, identity.ErrInvitation), errors.Is(err, identity.ErrBusy):
				refused.Add(1)
			default:
				t.Error(err)
			}
		})
	}
	close(gate)
	all.Wait()
	if joined.Load() != 1 || refused.Load() != 999 {
		t.Errorf("%d joined, %d refused", joined.Load(), refused.Load())
	}
	if ps, err := ids.People(t.Context(), "t-1", store.Page{}); err != nil || len(ps) != 1 {
		t.Errorf("%+v, %v", ps, err)
	}
}

// TestFirstOwner: whoever may invite the first owner only cannot bring in
// another once there is one, even with an invitation from before.
func TestFirstOwner(t *testing.T) {
	ids, _, _ := setUp(t)
	tenantWithKey(t, ids, "t-1")
	var secrets []string
	for _, name := range []string{"One", "Two"} {
		_, s, err := ids.Invite(t.Context(), root, identity.Invitation{Name: name, Mail: name + "@example.org", Role: access.CustomerOwner, Tenant: "t-1", FirstOwner: true})
		if err != nil {
			t.Fatal(err)
		}
		secrets = append(secrets, s)
	}
	if _, err := ids.JoinWithPassword(t.Context(), here, secrets[0], "", goodPassword); err != nil {
		t.Fatal(err)
	}
	if _, err := ids.JoinWithPassword(t.Context(), here, secrets[1], "", goodPassword); !errors.Is(err, store.ErrConflict) {
		t.Errorf("a second first owner: %v", err)
	}
}

// TestInvitationsOfTheSetUp: those to the provider's side end with the set-up,
// or a link from then would be a way past the administrator.
func TestInvitationsOfTheSetUp(t *testing.T) {
	ids, _, _ := setUp(t)
	ctx := t.Context()
	token, err := ids.FirstStart(ctx, func(string) error { return nil })
	if err != nil {
		t.Fatal(err)
	}
	setup, err := ids.Authenticate(ctx, token)
	if err != nil {
		t.Fatal(err)
	}
	_, secret, err := ids.Invite(ctx, setup, identity.Invitation{Name: "spare", Mail: "spare@example.org", Role: access.ProviderAdministrator})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := ids.Invited(ctx, secret); err != nil {
		t.Errorf("before the set-up is finished: %v", err)
	}
	withPasskey(t, ids, access.ProviderAdministrator, "", "Ada")
	if _, err := ids.Invited(ctx, secret); !errors.Is(err, identity.ErrInvitation) {
		t.Errorf("afterwards it can be looked at: %v", err)
	}
	if _, err := ids.JoinWithPassword(ctx, here, secret, "", goodPassword); !errors.Is(err, identity.ErrInvitation) {
		t.Errorf("afterwards it lets in: %v", err)
	}
}

func TestRemovedPerson(t *testing.T) {
	ids, b, _ := setUp(t)
	ctx := t.Context()
	key, e := withPasskey(t, ids, access.ProviderAdministrator, "", "Zacharias")
	by := acting(t, ids, e.Secret)
	if _, err := ids.Remove(ctx, by, by.ID); !errors.Is(err, store.ErrConflict) {
		t.Errorf("the last administrator removed itself: %v", err)
	}
	if _, err := ids.ChangeRole(ctx, by, by.ID, access.ProviderAuditor); !errors.Is(err, store.ErrConflict) {
		t.Errorf("the last administrator gave its role away: %v", err)
	}
	_, second := withPasskey(t, ids, access.ProviderAdministrator, "", "Second")
	_, token, err := ids.AddToken(ctx, by, identity.Wanted{Name: "ci", Scope: nil, Life: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := ids.ChangeRole(ctx, by, by.ID, access.CustomerOwner); !errors.Is(err, estate.ErrInvalid) {
		t.Errorf("a role of the other side: %v", err)
	}
	if p, err := ids.ChangeRole(ctx, by, by.ID, access.ProviderOperator); err != nil || p.Role != access.ProviderOperator || acting(t, ids, e.Secret).Role != access.ProviderOperator {
		t.Errorf("%+v, %v", p, err)
	}
	if got, err := ids.Authenticate(ctx, token); err != nil || got.Role != access.ProviderOperator {
		t.Errorf("the token has the former role: %+v, %v", got, err)
	}
	other := acting(t, ids, second.Secret)
	if _, err := ids.Remove(ctx, other, by.ID); err != nil {
		t.Fatal(err)
	}
	refusedSession(t, ids, "of who was removed", e.Secret)
	if _, err := ids.Authenticate(ctx, token); !errors.Is(err, identity.ErrUnauthenticated) {
		t.Errorf("a token of who was removed: %v", err)
	}
	c := begin(t, ids)
	if _, err := ids.SignInWithPasskey(ctx, here, c.Ceremony, key.get(t, c)); !errors.Is(err, identity.ErrSignIn) {
		t.Errorf("signed in after it was removed: %v", err)
	}
	if p, err := ids.Person(ctx, by.ID); err != nil || p.Name != "" || p.Mail != "" || p.Removed == nil {
		t.Errorf("%+v, %v", p, err)
	}
	if _, err := ids.Remove(ctx, other, by.ID); !errors.Is(err, store.ErrConflict) {
		t.Errorf("removed twice: %v", err)
	}
	if got := b.actions(); !strings.Contains(got, "person.role.provider-operator person.remove") {
		t.Error(got)
	}
}

// TestPersonalDataAtRest: neither names nor mail addresses nor secrets of
// people are in the database's files in clear.
func TestPersonalDataAtRest(t *testing.T) {
	ids, _, c := setUp(t)
	tenantWithKey(t, ids, "t-1")
	by, session := withPassword(t, ids, access.CustomerOwner, "t-1", "Quirinius")
	secret, elevated, codes := withTOTP(t, ids, by)
	_, token, err := ids.AddToken(t.Context(), acting(t, ids, elevated), identity.Wanted{Name: "ci", Life: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	pending := invited(t, ids, access.CustomerViewer, "t-1", "Ermentrude")
	for _, f := range []string{c.file, c.file + "-wal"} {
		raw, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		for what, s := range map[string]string{
			"a name": "Quirinius", "a mail address": "quirinius@", "an invited name": "Ermentrude", "a password": goodPassword, "a TOTP secret": secret,
			"a recovery code": codes[0], "a session": session, "another session": elevated, "a token": token, "an invitation": pending, "a hash of a password": "argon2id",
		} {
			if bytes.Contains(bytes.ToLower(raw), []byte(strings.ToLower(s))) {
				t.Errorf("%s is in clear in %s", what, f)
			}
		}
	}
}

func TestTokens(t *testing.T) {
	ids, _, now := setUp(t)
	ctx := t.Context()
	_, e := withPasskey(t, ids, access.ProviderAdministrator, "", "Ada")
	_, eve := withPasskey(t, ids, access.ProviderOperator, "", "Eve")
	by := acting(t, ids, e.Secret)
	tok, token, err := ids.AddToken(ctx, by, identity.Wanted{Name: "ci", Scope: []access.Action{access.ManageTenants}, Life: 24 * time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	p, err := ids.Authenticate(ctx, token)
	if err != nil || p.ID != by.ID || !p.MFA || len(p.Scope) != 1 || p.Session != "" || p.Kind != access.Person {
		t.Fatalf("%+v, %v", p, err)
	}
	if _, _, err := ids.AddToken(ctx, p, identity.Wanted{Name: "more", Scope: nil, Life: time.Hour}); !errors.Is(err, store.ErrConflict) {
		t.Errorf("a token made a token: %v", err)
	}
	if _, err := ids.BeginTOTP(ctx, p); !errors.Is(err, store.ErrConflict) {
		t.Errorf("a token enrolled an app: %v", err)
	}
	if _, err := ids.SignIn(ctx, token); !errors.Is(err, identity.ErrUnauthenticated) {
		t.Errorf("a token opened a session: %v", err)
	}
	for what, f := range map[string]func() error{
		"91 days": func() error {
			_, _, err := ids.AddToken(ctx, by, identity.Wanted{Name: "x", Scope: nil, Life: 91 * 24 * time.Hour})
			return err
		},
		"no days": func() error {
			_, _, err := ids.AddToken(ctx, by, identity.Wanted{Name: "x", Scope: nil, Life: 0})
			return err
		},
		"no name": func() error {
			_, _, err := ids.AddToken(ctx, by, identity.Wanted{Name: " ", Scope: nil, Life: time.Hour})
			return err
		},
		"no action": func() error {
			_, _, err := ids.AddToken(ctx, by, identity.Wanted{Name: "x", Scope: []access.Action{"fly"}, Life: time.Hour})
			return err
		},
		"guest login": func() error {
			_, _, err := ids.AddToken(ctx, by, identity.Wanted{Name: "x", Scope: []access.Action{"guest-login"}, Life: time.Hour})
			return err
		},
	} {
		if err := f(); !errors.Is(err, estate.ErrInvalid) {
			t.Errorf("%s: %v", what, err)
		}
	}
	if _, err := ids.RevokeToken(ctx, acting(t, ids, eve.Secret), tok.ID); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("another revoked it: %v", err)
	}
	for what, bad := range map[string]string{"cut": token[:len(token)-1], "only id": token[:strings.LastIndex(token, "_")], "no secret": token[:strings.LastIndex(token, "_")+1], "prefix": "dmp_", "very long": token + strings.Repeat("x", 300)} {
		if _, err := ids.Authenticate(ctx, bad); !errors.Is(err, identity.ErrUnauthenticated) {
			t.Errorf("%s: %v", what, err)
		}
	}
	now.now = now.now.Add(24 * time.Hour)
	if _, err := ids.Authenticate(ctx, token); !errors.Is(err, identity.ErrUnauthenticated) {
		t.Errorf("expired: %v", err)
	}
	password, _ := withPassword(t, ids, access.ProviderOperator, "", "Oto")
	if _, _, err := ids.AddToken(ctx, password, identity.Wanted{Name: "x", Scope: nil, Life: time.Hour}); !errors.Is(err, identity.ErrAgain) {
		t.Errorf("a token without a second factor: %v", err)
	}
}

func TestCommandLine(t *testing.T) {
	ids, _, now := setUp(t)
	ctx := t.Context()
	_, e := withPasskey(t, ids, access.ProviderAdministrator, "", "Ada")
	by := acting(t, ids, e.Secret)
	d, secret, err := ids.BeginDevice(ctx, "demarc 1.0 on host\x1b[31m", identity.Wanted{})
	if err != nil || len(d.UserCode) != 9 || strings.Contains(d.Client, "\x1b") {
		t.Fatalf("%+v, %v", d, err)
	}
	if _, _, err := ids.PollDevice(ctx, secret); !errors.Is(err, identity.ErrDevicePending) {
		t.Errorf("before it is confirmed: %v", err)
	}
	typed := " " + strings.ToLower(strings.ReplaceAll(d.UserCode, "-", " "))
	if got, err := ids.DeviceByCode(ctx, by, typed); err != nil || got.UserCode != d.UserCode {
		t.Errorf("%+v, %v", got, err)
	}
	password, _ := withPassword(t, ids, access.ProviderOperator, "", "Oto")
	if err := ids.AnswerDevice(ctx, password, typed, true); !errors.Is(err, identity.ErrAgain) {
		t.Errorf("confirmed without a second factor: %v", err)
	}
	if err := ids.AnswerDevice(ctx, by, typed, true); err != nil {
		t.Fatal(err)
	}
	if err := ids.AnswerDevice(ctx, by, typed, true); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("confirmed twice: %v", err)
	}
	tok, token, err := ids.PollDevice(ctx, secret)
	if err != nil || tok.Expires.Sub(now.now) != identity.DeviceTokenLength {
		t.Fatalf("%+v, %v", tok, err)
	}
	if p, err := ids.Authenticate(ctx, token); err != nil || p.ID != by.ID || !p.MFA {
		t.Errorf("%+v, %v", p, err)
	}
	if _, _, err := ids.PollDevice(ctx, secret); !errors.Is(err, identity.ErrDeviceRefused) {
		t.Errorf("a second token: %v", err)
	}
	d, secret, _ = ids.BeginDevice(ctx, "x", identity.Wanted{})
	if err := ids.AnswerDevice(ctx, by, d.UserCode, false); err != nil {
		t.Fatal(err)
	}
	if _, _, err := ids.PollDevice(ctx, secret); !errors.Is(err, identity.ErrDeviceRefused) {
		t.Errorf("refused: %v", err)
	}
	d, secret, _ = ids.BeginDevice(ctx, "x", identity.Wanted{})
	now.now = d.Expires
	if err := ids.AnswerDevice(ctx, by, d.UserCode, true); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("confirmed too late: %v", err)
	}
	if _, _, err := ids.PollDevice(ctx, secret); !errors.Is(err, identity.ErrDeviceRefused) {
		t.Errorf("too late: %v", err)
	}
	for n := 0; ; n++ {
		if _, err := ids.DeviceByCode(ctx, by, "BBBB-BBBB"); slowed(err) > 0 {
			break
		}
		if n > 10 {
			t.Fatal("codes can be guessed without end")
		}
	}
}
