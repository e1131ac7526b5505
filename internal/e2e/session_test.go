package e2e

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/cookiejar"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/pquerna/otp/totp"

	"github.com/demarc/demarc/api"
	"github.com/demarc/demarc/api/cast"
	"github.com/demarc/demarc/internal/gateway"
	"github.com/demarc/demarc/internal/gateway/sshdtest"
)

// person makes a person of the provider, who joins with a password and an
// authenticator app, and returns a token of theirs.
func (s *server) person(role string) string {
	s.t.Helper()
	in, err := s.client.Invite(s.t.Context(), api.NewInvitation{Name: "Ada", Mail: "ada@example.org", Role: role})
	if err != nil {
		s.t.Fatal(err)
	}
	_, secret, _ := strings.Cut(in.Link, "#")
	jar, err := cookiejar.New(nil)
	if err != nil {
		s.t.Fatal(err)
	}
	browser := &http.Client{Jar: jar}
	post := func(path string, body, out any) {
		s.t.Helper()
		raw, _ := json.Marshal(body)
		req, _ := http.NewRequest("POST", s.client.Base+path, bytes.NewReader(raw))
		req.Header.Set("Content-Type", "application/json")
		req.Header.Set("Sec-Fetch-Site", "same-origin")
		res, err := browser.Do(req)
		if err != nil {
			s.t.Fatal(err)
		}
		defer res.Body.Close()
		answer, err := io.ReadAll(res.Body)
		if err == nil {
			err = json.Unmarshal(answer, out)
		}
		if err != nil || res.StatusCode >= 300 {
			s.t.Fatalf("%s: %d %v: %s", path, res.StatusCode, err, answer)
		}
	}
	post("/v1/join/password", api.JoinPassword{Invitation: secret, Password: "an uncommon sentence of 7 words"}, &api.SignedIn{})
	var app api.TOTPSecret
	post("/v1/account/totp/begin", struct{}{}, &app)
	code, err := totp.GenerateCode(app.Secret, time.Now())
	if err != nil {
		s.t.Fatal(err)
	}
	post("/v1/account/totp/finish", api.SecondFactor{Code: code}, &api.RecoveryCodes{})
	var token api.Token
	post("/v1/account/tokens", api.NewToken{Name: "test", Days: 1}, &token)
	return token.Token
}

// TestSessionOfAKilledServer opens a session on a real host through a real
// server, as its users do, and kills the server: at its next start it says that
// the recording was cut, and at most a second of what was shown is missing.
func TestSessionOfAKilledServer(t *testing.T) {
	s := newServer(t)
	s.client.Token = s.person("provider-administrator")
	s.demarc("tenant", "create", "acme")
	keys, err := s.client.GatewayKeys(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	authority, err := gateway.ParseKey(keys.TrustedUserCA)
	if err != nil {
		t.Fatal(err)
	}
	sshd := sshdtest.Start(t, authority)
	s.demarc("target", "add", "hv-1", "--host", sshd.Address, "--user", sshd.Login, "--host-key", sshd.HostKey)
	grant, err := s.client.BreakGlass(t.Context(), "acme", api.BreakGlass{Reason: "the array degrades", Minutes: 10, Scope: []api.Ability{{Do: "shell", Target: "hv-1"}}})
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(filepath.Join(bin, "demarc"), "access", "ssh", grant.ID, "hv-1")
	cmd.Env = append(os.Environ(), "DEMARC_SERVER="+s.client.Base, "DEMARC_TOKEN="+s.client.Token, "XDG_CONFIG_HOME="+filepath.Dir(s.data), "SSH_AUTH_SOCK=")
	cmd.Stdin = strings.NewReader("stty -echo; while :; do date +at-%s%3N; sleep 0.02; done\r")
	session := startProcess(t, cmd)
	eventually(t, "the session shows something for two seconds", func() string {
		if first, last := shownAt(session.output()); last-first < 2000 {
			return "it shows " + session.output()
		}
		return ""
	})
	s.proc.kill()
	_, last := shownAt(session.output())
	s.start()
	s.client.Base = "http://" + s.http
	var list []api.Session
	s.ask(&list, "session", "list", "--tenant", "acme")
	if len(list) != 1 || list[0].State != "cut" || !strings.Contains(list[0].Reason, "the server ended without closing it; sealed until") {
		t.Fatalf("%+v", list)
	}
	s.demarc("session", "verify", list[0].ID, "--tenant", "acme")
	_, kept := shownAt(replayed(t, s.demarc("session", "export", list[0].ID, "--tenant", "acme")))
	t.Logf("the last %d ms of what was shown are missing", last-kept)
	if lost := last - kept; kept == 0 || lost > 1000 {
		t.Errorf("%d ms are missing", lost)
	}
	if audit := s.demarc("audit", "sessions", "--tenant", "acme"); !strings.Contains(audit, "every one is explained") || !strings.Contains(audit, "emergency") {
		t.Errorf("the audit says\n%s", audit)
	}
	spoil(t, filepath.Join(s.data, "recordings", list[0].ID+".cast"))
	if _, said, err := s.try("session", "verify", list[0].ID, "--tenant", "acme"); err == nil {
		t.Errorf("a flipped byte verifies: %s", said)
	}
	if audit, _, err := s.try("audit", "sessions", "--tenant", "acme"); err == nil || strings.Contains(audit, "every one is explained") {
		t.Errorf("with a flipped byte the audit says\n%s", audit)
	}
}

// spoil flips a byte in the middle of a file.
func spoil(t *testing.T, path string) {
	t.Helper()
	raw, err := os.ReadFile(path)
	if err != nil || len(raw) == 0 {
		t.Fatalf("%d bytes, %v", len(raw), err)
	}
	raw[len(raw)/2] ^= 1
	if err := os.WriteFile(path, raw, 0o600); err != nil {
		t.Fatal(err)
	}
}

// shownAt are the first and the last time that the session has shown.
func shownAt(text string) (first, last int64) {
	for _, word := range strings.Fields(text) {
		if digits, ok := strings.CutPrefix(word, "at-"); ok {
			if n, err := strconv.ParseInt(digits, 10, 64); err == nil && len(digits) == 13 {
				if first == 0 {
					first = n
				}
				last = n
			}
		}
	}
	return first, last
}

func replayed(t *testing.T, text string) string {
	t.Helper()
	c, err := cast.NewReader(strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	for {
		e, err := c.Next()
		if err != nil {
			return out.String()
		}
		if e.Code == cast.Output {
			out.WriteString(e.Data)
		}
	}
}
