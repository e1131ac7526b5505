package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/demarc/demarc/api"
)

// customer makes a customer's tenant with a VDC "main" and an owner, and
// returns the server as the owner sees it.
func (s *server) customer(name string, flags ...string) *server {
	s.t.Helper()
	s.demarc(append([]string{"tenant", "create", name}, flags...)...)
	s.demarc("vdc", "create", "main", "--tenant", name)
	v, err := s.client.Invite(s.t.Context(), api.NewInvitation{Name: "Ana Lima", Mail: "ana@" + name + ".example", Role: "customer-owner", Tenant: name})
	if err != nil {
		s.t.Fatal(err)
	}
	_, secret, ok := strings.Cut(v.Link, "#")
	if !ok {
		s.t.Fatalf("the link of an invitation has no secret")
	}
	jar, err := cookiejar.New(nil)
	if err != nil {
		s.t.Fatal(err)
	}
	browser := &http.Client{Jar: jar}
	s.browse(browser, "/v1/join/password", api.JoinPassword{Invitation: secret, Password: "four unrelated words, and a comma"}, nil)
	var token api.Token
	s.browse(browser, "/v1/account/tokens", api.NewToken{Name: "command line"}, &token)
	as := *s
	as.client = &api.Client{Base: s.client.Base, Token: token.Token}
	return &as
}

// browse posts as a page of the console does.
func (s *server) browse(browser *http.Client, path string, in, out any) {
	s.t.Helper()
	raw, err := json.Marshal(in)
	if err != nil {
		s.t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(s.t.Context(), http.MethodPost, s.client.Base+path, bytes.NewReader(raw))
	if err != nil {
		s.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Sec-Fetch-Site", "same-origin")
	req.Header.Set("Origin", s.client.Base)
	res, err := browser.Do(req)
	if err != nil {
		s.t.Fatal(err)
	}
	defer res.Body.Close()
	answer, _ := io.ReadAll(res.Body)
	if res.StatusCode >= 300 {
		s.t.Fatalf("%s: %d %s", path, res.StatusCode, answer)
	}
	if out != nil {
		if err := json.Unmarshal(answer, out); err != nil {
			s.t.Fatal(err)
		}
	}
}

// TestGuestLoginIsAnIncident lets an agent see a login by an account of the
// provider's people: the duty turns, and an incident opens that only the
// customer can close.
//
//demarc:duty PII/P-8m
func TestGuestLoginIsAnIncident(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	owner := s.customer("acme")
	root, dir := t.TempDir(), t.TempDir()
	writeHost(t, root, "good")
	owner.enrol("acme", "web-1", dir, root)
	p := s.agent(dir, root)
	t.Cleanup(func() { p.end(t) })
	s.expect("acme", "PII/P-8m", "unknown", "there is no fact provider.identities")
	s.demarc("provider-identity", "add", "account", "opsanna")
	s.expect("acme", "PII/P-8m", "met", "")
	if len(owner.incidents()) != 0 {
		t.Errorf("incidents before anything happened: %+v", owner.incidents())
	}

	logged := readFile(t, root, "var/log/auth.log")
	place(t, root, "var/log/auth.log", logged+time.Now().UTC().Format(time.RFC3339)+
		" web-1 sshd[812]: Accepted publickey for opsanna from 198.51.100.77 port 50000 ssh2: ED25519 SHA256:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\n")
	owner.demarc("agent", "refresh", "web-1", "--tenant", "acme")
	s.expect("acme", "PII/P-8m", "not-met", "logins with accounts of provider staff: opsanna")
	list := owner.incidents()
	if len(list) != 1 || list[0].State != "open" || !strings.Contains(list[0].Words, "login as opsanna from 198.51.100.77") || list[0].VMName != "web-1" {
		t.Fatalf("incidents: %+v", list)
	}
	if out, errs, err := s.try("incident", "close", list[0].ID, "--tenant", "acme", "--note", "it was us"); err == nil {
		t.Errorf("the provider closed it: %s%s", out, errs)
	}
	owner.demarc("incident", "close", list[0].ID, "--tenant", "acme", "--note", "We asked for help by telephone.")
	owner.demarc("agent", "refresh", "web-1", "--tenant", "acme")
	if list = owner.incidents(); len(list) != 1 || list[0].State != "closed" || !strings.HasPrefix(list[0].ClosedBy, "customer-owner/") {
		t.Errorf("incidents in the end: %+v", list)
	}
	if text := owner.demarc("activity", "--tenant", "acme"); !strings.Contains(text, "opened an incident") {
		t.Errorf("what the provider did lacks the incident:\n%s", text)
	}
}

func (s *server) incidents() (list []api.Incident) {
	s.t.Helper()
	s.ask(&list, "incident", "list", "--tenant", "acme")
	return list
}

// TestReviews goes over logs and networks as the customer's owner does, and
// sees the verdicts turn: with the sign-off, with a change that nobody went
// over, and back.
//
//demarc:duty CLD.12.1.5/C-5.3b
//demarc:duty CLD.13.1.4/C-7.2b
func TestReviews(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	owner := s.customer("acme")
	root, dir := t.TempDir(), t.TempDir()
	writeHost(t, root, "good")
	owner.enrol("acme", "web-1", dir, root)
	p := s.agent(dir, root)
	t.Cleanup(func() { p.end(t) })
	owner.expect("acme", "CLD.12.1.5/C-5.3b", "not-met", "the review was not signed off")
	owner.expect("acme", "CLD.13.1.4/C-7.2b", "not-met", "not reviewed")

	if _, errs, err := s.try("review", "sign-off", "logs", "--tenant", "acme", "--all", "--yes"); err == nil || !strings.Contains(errs, "for people") {
		t.Errorf("the first start's credential signed a customer's review off: %s", errs)
	}
	if _, errs, err := owner.try("review", "sign-off", "logs", "--tenant", "acme", "--yes"); err == nil || !strings.Contains(errs, "what was looked at") {
		t.Errorf("signed off nothing: %s", errs)
	}
	owner.demarc("review", "sign-off", "logs", "--tenant", "acme", "--all", "--yes")
	owner.expect("acme", "CLD.12.1.5/C-5.3b", "met", "")
	owner.demarc("review", "sign-off", "network", "--tenant", "acme", "--all", "--yes")
	owner.expect("acme", "CLD.13.1.4/C-7.2b", "met", "")

	// Something listens that was not there before.
	tcp := readFile(t, root, "proc/net/tcp")
	place(t, root, "proc/net/tcp", tcp+"   9: 00000000:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 99999 1 0000000000000000 100 0 0 10 0\n")
	owner.demarc("agent", "refresh", "web-1", "--tenant", "acme")
	owner.expect("acme", "CLD.13.1.4/C-7.2b", "not-met", "1 change of rules not reviewed")
	place(t, root, "proc/net/tcp", tcp)
	owner.demarc("agent", "refresh", "web-1", "--tenant", "acme")
	owner.expect("acme", "CLD.13.1.4/C-7.2b", "met", "")
}

// TestUnusedPrivileges lets an administrator's account of a VM rest for too
// long.
//
//demarc:duty CLD.12.1.5/C-5.1b
func TestUnusedPrivileges(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	owner := s.customer("acme")
	root, dir := t.TempDir(), t.TempDir()
	writeHost(t, root, "good")
	owner.enrol("acme", "web-1", dir, root)
	p := s.agent(dir, root)
	t.Cleanup(func() { p.end(t) })
	owner.expect("acme", "CLD.12.1.5/C-5.1b", "met", "")
	shadow := readFile(t, root, "etc/shadow")
	day := func(ago int) string { return fmt.Sprint(time.Now().AddDate(0, 0, -ago).Unix() / 86400) }
	place(t, root, "etc/shadow", strings.ReplaceAll(shadow, ":"+day(30)+":", ":"+day(200)+":"))
	owner.demarc("agent", "refresh", "web-1", "--tenant", "acme")
	within(t, 3*patience, "the account that rests", func() string {
		v := owner.verdicts("acme", "")["CLD.12.1.5/C-5.1b"]
		if v.Verdict == "not-met" && strings.Contains(v.Reason, "anna on web-1") {
			return ""
		}
		return v.Verdict + ": " + v.Reason
	})
	if text := owner.demarc("privileges", "--tenant", "acme"); !strings.Contains(text, "anna on web-1") {
		t.Errorf("the report lacks the account:\n%s", text)
	}
	place(t, root, "etc/shadow", shadow)
	owner.demarc("agent", "refresh", "web-1", "--tenant", "acme")
	within(t, 3*patience, "the account is in use", func() string {
		if v := owner.verdicts("acme", "")["CLD.12.1.5/C-5.1b"]; v.Verdict != "met" {
			return v.Reason
		}
		return ""
	})
}

// TestProviderIsSeen shows a customer what the provider does, in words and with
// proof, while it happens; and that no session was without approval.
//
//demarc:duty CLD.12.1.5/P-5.2a
//demarc:duty CLD.6.3.1/P-1.3b
//demarc:duty CLD.12.4.5/P-6.3a
func TestProviderIsSeen(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	owner := s.customer("acme")
	s.customer("other")
	s.expect("acme", "CLD.12.1.5/P-5.2a", "met", "")
	s.expect("", "CLD.6.3.1/P-1.3b", "met", "")
	s.expect("", "CLD.12.4.5/P-6.3a", "met", "")

	live := make(chan api.Activity, 100)
	go func() {
		for e, err := range owner.client.Events(t.Context(), "") {
			var a api.Activity
			if err == nil && e.Name == "activity" && json.Unmarshal(e.Data, &a) == nil {
				live <- a
			}
		}
	}()
	// Acts until the stream is open; then each shows within a moment.
	eventually(t, "an act shows live", func() string {
		s.demarc("vdc", "create", fmt.Sprintf("more-%d", time.Now().UnixNano()), "--tenant", "acme")
		s.demarc("vdc", "create", fmt.Sprintf("more-%d", time.Now().UnixNano()), "--tenant", "other")
		for moment := time.After(time.Second); ; {
			select {
			case a := <-live:
				if !strings.HasPrefix(a.Words, "Provider administrator (") {
					t.Errorf("live: %+v", a)
				}
				if a.Action == "vdc.create" {
					return ""
				}
			case <-moment:
				return "nothing came"
			}
		}
	})
	tenant := ""
	for {
		select {
		case a := <-live:
			if tenant == "" {
				tenant = a.Tenant
			}
			if a.Tenant != tenant {
				t.Errorf("another tenant's act shows: %+v", a)
			}
			continue
		default:
		}
		break
	}
	var list []api.Activity
	owner.ask(&list, "activity", "--tenant", "acme")
	if len(list) == 0 {
		t.Fatal("nothing is listed")
	}
	bundle := t.TempDir() + "/acme.bundle"
	owner.demarc("ledger", "bundle", "--tenant", "acme", "--out", bundle)
	if info, err := os.Stat(bundle); err != nil || info.Size() == 0 {
		t.Errorf("no bundle: %v", err)
	}
	owner.demarc("verify", bundle)
	text := owner.demarc("audit", "sessions", "--tenant", "acme")
	if !strings.Contains(text, "every one is explained") || !strings.Contains(text, "platform events") {
		t.Errorf("audit:\n%s", text)
	}
}

// TestLoginPastTheGateway lets somebody log in on a hypervisor without a
// session: the audit of every customer shows it, and the duty turns.
//
//demarc:duty CLD.13.1.4/P-7.2a
func TestLoginPastTheGateway(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	acme := s.customer("acme")
	home := s.customer("home", "--own")
	root, dir := t.TempDir(), t.TempDir()
	writeHost(t, root, "good")
	home.enrol("home", "hv-1", dir, root)
	p := s.agent(dir, root)
	t.Cleanup(func() { p.end(t) })
	s.expect("", "CLD.13.1.4/P-7.2a", "unknown", "there is no fact network.changes")
	s.demarc("target", "add", "hv-1", "--host", "192.0.2.10", "--host-key", "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAILbPvQHsvKYXBWsqRFCgrRtLCgXtdcpz4C5qmKAWyM1i", "--yes")
	home.expect("home", "CLD.13.1.4/C-7.2b", "not-met", "not reviewed")
	home.demarc("review", "sign-off", "network", "--tenant", "home", "--all", "--yes")
	within(t, 3*patience, "the hosts are as they were reviewed", func() string {
		if v := s.ofProvider("CLD.13.1.4/P-7.2a"); v.Verdict != "met" {
			return v.Verdict + ": " + v.Reason
		}
		return ""
	})
	if text := acme.demarc("audit", "sessions", "--tenant", "acme"); !strings.Contains(text, "every one is explained") {
		t.Errorf("audit before:\n%s", text)
	}

	logged := readFile(t, root, "var/log/auth.log")
	place(t, root, "var/log/auth.log", logged+time.Now().UTC().Format(time.RFC3339)+" hv-1 sshd[812]: Accepted password for root from 198.51.100.77 port 50000 ssh2\n")
	home.demarc("agent", "refresh", "hv-1", "--tenant", "home")
	eventually(t, "the audit shows the login", func() string {
		out, errs, err := acme.try("audit", "sessions", "--tenant", "acme")
		if err == nil || !strings.Contains(out, "no session of the gateway: as root from 198.51.100.77 by password") || !strings.Contains(errs, "1 session or login is not explained") {
			return out + errs
		}
		return ""
	})
	within(t, 3*patience, "the duty", func() string {
		if v := s.ofProvider("CLD.13.1.4/P-7.2a"); v.Verdict != "not-met" || !strings.Contains(v.Reason, "login on hv-1") {
			return v.Verdict + ": " + v.Reason
		}
		return ""
	})
}

// ofProvider is how a duty of the provider stands.
func (s *server) ofProvider(duty string) (v api.Verdict) {
	s.t.Helper()
	var list []api.Verdict
	if s.ask(&list, "posture", "--duty", duty); len(list) == 1 {
		v = list[0]
	}
	return v
}
