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
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/pquerna/otp/totp"

	"github.com/demarc/demarc/api"
)

// browser keeps cookies and says that its requests come from the console's own
// pages, as a browser does.
type browser struct {
	t    testing.TB
	base string
	http *http.Client
}

func newBrowser(t testing.TB, base string) *browser {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	return &browser{t, base, &http.Client{Jar: jar, Timeout: patience}}
}

// post sends in as JSON, and decodes the answer into out unless it is nil.
func (b *browser) post(path string, in, out any) {
	b.t.Helper()
	body, err := json.Marshal(in)
	if err != nil {
		b.t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(b.t.Context(), http.MethodPost, b.base+path, bytes.NewReader(body))
	if err != nil {
		b.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Sec-Fetch-Site", "same-origin")
	res, err := b.http.Do(req)
	if err != nil {
		b.t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(io.LimitReader(res.Body, 1<<20))
	if err != nil || res.StatusCode >= 300 {
		b.t.Fatalf("POST %s: %d %s %v", path, res.StatusCode, text, err)
	}
	if out != nil {
		if err := json.Unmarshal(text, out); err != nil {
			b.t.Fatalf("POST %s: %v: %s", path, err, text)
		}
	}
}

// joins accepts an invitation with a password and an authenticator app.
func (b *browser) joins(invitation, login string) {
	b.t.Helper()
	b.post("/v1/join/password", api.JoinPassword{Invitation: invitation, Login: login, Password: "a long and plain sentence"}, nil)
	var app api.TOTPSecret
	b.post("/v1/account/totp/begin", struct{}{}, &app)
	code, err := totp.GenerateCode(app.Secret, time.Now())
	if err != nil {
		b.t.Fatal(err)
	}
	b.post("/v1/account/totp/finish", api.SecondFactor{Code: code}, nil)
}

// TestSetUpIsFinished begins as everybody does, with demarc up, whose credential
// is an administrator without a second factor, and has the first administrator
// join. The credential can do little from then on, and demarc up still starts. It
// lies in a file, which is no vault, until that is deleted.
//
//demarc:duty CLD.12.1.5/P-5.1c
//demarc:duty CLD.12.1.5/P-5.4a
func TestSetUpIsFinished(t *testing.T) {
	t.Parallel()
	needPrograms(t)
	ports, err := freePorts(3)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	data := filepath.Join(dir, "data")
	up := func() string {
		t.Helper()
		cmd := exec.Command(filepath.Join(bin, "demarc"), "up", "--detach", "--data", data, "--http", ports[0], "--https", ports[1], "--bus-listen", ports[2], "--ssh", "off")
		cmd.Env = append(os.Environ(), "XDG_CONFIG_HOME="+dir, "HOME="+dir)
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("demarc up: %v\n%s", err, out)
		}
		return string(out)
	}
	t.Cleanup(func() { endUp(data) })
	printed := up()
	link := regexp.MustCompile(`/join#(\S+)`).FindStringSubmatch(printed)
	token, err := os.ReadFile(filepath.Join(data, "admin.token"))
	if link == nil || err != nil {
		t.Fatalf("no link to join (%v):\n%s", err, printed)
	}
	s := &server{t: t, data: data, client: &api.Client{Base: "http://" + ports[0], Token: strings.TrimSpace(string(token))}}
	s.expect("", "CLD.12.1.5/P-5.1c", "not-met", "the first start's credential")
	s.demarc("tenant", "create", "early")

	first := newBrowser(t, s.client.Base)
	first.joins(link[1], "ada@provider.example")
	s.expect("", "CLD.12.1.5/P-5.1c", "met", "")
	if _, said, err := s.try("tenant", "create", "late"); err == nil || !strings.Contains(said, "setting up") {
		t.Errorf("the first start's credential makes a tenant afterwards: %v %s", err, said)
	}
	if _, said, err := s.try("vm", "create", "web-1", "--vdc", "main", "--tenant", "early"); err == nil {
		t.Errorf("it registers a customer's VM: %s", said)
	}
	first.post("/v1/tenants", api.NewTenant{Name: "acme"}, nil)

	endUp(data)
	if again := up(); strings.Contains(again, "/join#") || !strings.Contains(again, "Next: demarc posture") {
		t.Errorf("the second start prints:\n%s", again)
	}
	s.expect("", "CLD.12.1.5/P-5.1c", "met", "")
	if _, _, err := s.try("tenant", "create", "late"); err == nil {
		t.Error("after a restart the first start's credential is an administrator again")
	}

	s.expect("", "CLD.12.1.5/P-5.4a", "not-met", "credentials outside the vault: the first start's token")
	if err := os.Remove(filepath.Join(data, "admin.token")); err != nil {
		t.Fatal(err)
	}
	s.expect("", "CLD.12.1.5/P-5.4a", "met", "")
	first.post("/v1/account/tokens", api.NewToken{Name: "long", Days: 30}, nil)
	s.expect("", "CLD.12.1.5/P-5.4a", "not-met", "a credential lives for 720 hours")
}
