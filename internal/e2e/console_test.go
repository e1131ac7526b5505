package e2e

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/cdproto/webauthn"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
	"golang.org/x/crypto/ssh"

	"github.com/demarc/demarc/api"
	"github.com/demarc/demarc/internal/gateway/sshdtest"
)

// chromium starts a browser with a profile of its own, or skips.
func chromium(t *testing.T) context.Context {
	t.Helper()
	if testing.Short() {
		t.Skip("needs a browser; left out with -short")
	}
	var program string
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if p, err := exec.LookPath(name); err == nil {
			program = p
			break
		}
	}
	if program == "" {
		t.Skip("no Chromium on this machine; apt-get install chromium")
	}
	options := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(program), chromedp.UserDataDir(t.TempDir()), chromedp.NoSandbox, chromedp.DisableGPU,
		chromedp.Flag("disable-quic", true), chromedp.Flag("disable-component-update", true), chromedp.WindowSize(1280, 900))
	ctx, cancel := chromedp.NewExecAllocator(context.Background(), options...)
	t.Cleanup(cancel)
	ctx, _ = chromedp.NewContext(ctx)
	browser := ctx
	t.Cleanup(func() {
		if err := chromedp.Cancel(browser); err != nil {
			t.Log("ending the browser:", err)
		}
	})
	if err := chromedp.Run(ctx); err != nil {
		t.Fatal("start the browser:", err)
	}
	return ctx
}

// visitor is somebody with a browser and an authenticator of their own.
type visitor struct {
	t    *testing.T
	ctx  context.Context
	base string
	// device is the authenticator.
	device webauthn.AuthenticatorID
}

// newVisitor starts a browser with an authenticator that keeps passkeys and
// verifies its owner.
func newVisitor(t *testing.T, base string) *visitor {
	t.Helper()
	ctx, cancel := context.WithTimeout(chromium(t), 3*time.Minute)
	t.Cleanup(cancel)
	v := &visitor{t: t, ctx: ctx, base: base}
	chromedp.ListenTarget(ctx, func(ev any) {
		if e, ok := ev.(*runtime.EventExceptionThrown); ok {
			t.Errorf("script failed: %s", e.ExceptionDetails.Error())
		}
	})
	v.do("give the window an authenticator", webauthn.Enable(), chromedp.ActionFunc(func(ctx context.Context) error {
		id, err := webauthn.AddVirtualAuthenticator(&webauthn.VirtualAuthenticatorOptions{
			Protocol: webauthn.AuthenticatorProtocolCtap2, Transport: webauthn.AuthenticatorTransportInternal,
			HasResidentKey: true, HasUserVerification: true, IsUserVerified: true, AutomaticPresenceSimulation: true,
		}).Do(ctx)
		v.device = id
		return err
	}))
	return v
}

func (v *visitor) do(what string, actions ...chromedp.Action) {
	v.t.Helper()
	ctx, cancel := context.WithTimeout(v.ctx, 30*time.Second)
	defer cancel()
	if err := chromedp.Run(ctx, actions...); err != nil {
		var text, where string
		_ = chromedp.Run(v.ctx, chromedp.Location(&where), chromedp.Evaluate(`document.querySelector("main")?.innerText ?? ""`, &text))
		if folder := os.Getenv("SCREENSHOTS"); folder != "" {
			var picture []byte
			if chromedp.Run(v.ctx, chromedp.CaptureScreenshot(&picture)) == nil {
				_ = os.WriteFile(filepath.Join(folder, "failed.png"), picture, 0o644)
			}
		}
		v.t.Fatalf("%s: %v\nat %s:\n%s", what, err, where, text)
	}
}

// navigate goes to an address, and waits for nothing.
func navigate(address string) chromedp.Action { return chromedp.Navigate(address) }

func (v *visitor) open(path string) {
	v.t.Helper()
	v.do("open "+path, chromedp.Navigate(v.base+path), chromedp.WaitVisible("h1", chromedp.ByQuery))
}

// sees waits until the page says something; it may be on its way to another.
func (v *visitor) sees(text string) {
	v.t.Helper()
	v.until(fmt.Sprintf("document.querySelector('main')?.innerText.includes(%q)", text))
}

// until waits for an expression to be true, on this page or the next.
func (v *visitor) until(expression string) {
	v.t.Helper()
	eventually(v.t, expression, func() string {
		var is bool
		var text, where string
		ctx, cancel := context.WithTimeout(v.ctx, 5*time.Second)
		defer cancel()
		err := chromedp.Run(ctx, chromedp.Evaluate("Boolean("+expression+")", &is), chromedp.Location(&where), chromedp.Evaluate(`document.querySelector("main")?.innerText ?? ""`, &text))
		if err == nil && is {
			return ""
		}
		return fmt.Sprintf("%v at %s:\n%s", err, where, text)
	})
}

// press clicks on what the selector finds and the page lies behind.
func (v *visitor) press(selector string) {
	v.t.Helper()
	v.do("press "+selector, chromedp.WaitReady(selector, chromedp.ByQuery),
		chromedp.Evaluate(fmt.Sprintf(`document.querySelectorAll("details").forEach((d) => { if (d.querySelector(%q)) d.open = true; })`, selector), nil),
		chromedp.Click(selector, chromedp.ByQuery, chromedp.NodeVisible))
}

func (v *visitor) fill(selector, text string) {
	v.t.Helper()
	v.do("fill in "+selector, chromedp.WaitReady(selector, chromedp.ByQuery),
		chromedp.Evaluate(fmt.Sprintf(`document.querySelector(%q).closest("details")?.setAttribute("open", "")`, selector), nil),
		chromedp.SetValue(selector, text, chromedp.ByQuery))
}

func (v *visitor) text(selector string) (out string) {
	v.t.Helper()
	v.do("read "+selector, chromedp.WaitVisible(selector, chromedp.ByQuery), chromedp.Text(selector, &out, chromedp.ByQuery))
	return strings.TrimSpace(out)
}

var joinLink = regexp.MustCompile(`http://\S+/join#\S+`)

// join accepts an invitation with a passkey.
func (v *visitor) join(link string) {
	v.t.Helper()
	v.do("open the invitation", chromedp.Navigate(link))
	v.sees("Welcome")
	var where string
	v.do("look at the address", chromedp.Location(&where))
	if strings.Contains(where, "dmi_") {
		v.t.Errorf("the secret stays in the address: %s", where)
	}
	v.press("form[data-passkey=create] button")
	v.sees("How you sign in")
}

// TestConsoleFromInvitationToReplay is the whole way with a real browser, server
// and sshd: the first administrator joins with a passkey, invites the
// customer's owner, asks for access; the owner makes a signing key and signs
// the approval; a session is opened, recorded and replayed.
//
//demarc:duty CLD.12.1.5/P-5.1a
func TestConsoleFromInvitationToReplay(t *testing.T) {
	s := newServer(t)
	link := joinLink.FindString(s.proc.output())
	if link == "" {
		t.Fatalf("no link to join in:\n%s", s.proc.output())
	}
	token, err := os.ReadFile(filepath.Join(s.data, "admin.token"))
	if err != nil {
		t.Fatal(err)
	}
	s.client.Token = strings.TrimSpace(string(token))
	s.demarc("tenant", "create", "globex")
	_, port, _ := net.SplitHostPort(s.http)
	base := "http://localhost:" + port

	ada := newVisitor(t, base)
	ada.join(link)
	ada.signsInByKeyboard()
	ada.open("/account")
	ada.press("form[data-passkey=create] button")
	ada.sees("This authenticator is registered already")
	sshd := ada.registersTarget(s)

	ada.open("/tenants/globex/people")
	ada.fill("#name", "Olga Owner")
	ada.press("aside form button")
	olga := newVisitor(t, base)
	olga.join(ada.text(".once .secret"))

	olga.open("/tenants/globex/keys")
	olga.sees("No key yet")
	olga.fill("#passkey-name", "blue key")
	olga.press("form[data-passkey=create] button")
	olga.sees("There is one key and no recovery")

	ada.open("/access")
	ada.fill("#ask-ticket", "INC-4711")
	ada.fill("#ask-purpose", "The nightly backup fails: the storage daemon hangs.")
	ada.press(`input[name=scope][value="shell hv-1"]`)
	ada.press(`form:has(#ask-ticket) button`)
	ada.sees("Withdraw the request")

	olga.open("/tenants/globex/access")
	olga.sees("Waiting for you")
	olga.press(".asks a")
	olga.sees("The nightly backup fails")
	olga.press(`form:has(input[value=approve]) button`)
	olga.sees("What exactly is signed")
	digest := olga.text("#digest")
	olga.do("sign by key", chromedp.Focus("[data-passkey-button]", chromedp.ByQuery), chromedp.KeyEvent(kb.Enter))
	olga.sees("Revoke now")
	olga.sees("in force")

	grants, err := api.Collect(s.client.Grants(t.Context(), "globex", api.GrantFilter{}))
	if err != nil || len(grants) != 1 || grants[0].State != "active" {
		t.Fatalf("grants %+v (%v)", grants, err)
	}
	d, err := s.client.Decision(t.Context(), "globex", grants[0].Decision)
	if err != nil || d.Digest != digest || d.State != "signed" || len(d.Signatures) != 1 || d.Signatures[0].Algorithm != "webauthn" {
		t.Errorf("the decision %+v (%v) is not what was shown as %s", d, err, digest)
	}

	ada.useAccess(s, sshd, grants[0].ID)
	olga.open("/tenants/globex/sessions")
	olga.press("tbody th a")
	olga.sees("whole")
	olga.press("[data-load]")
	olga.until(`document.querySelector("#player").dataset.state === "ended" && document.querySelector(".terminal").textContent.includes("said in the session")`)
	olga.open("/tenants/globex/activity")
	olga.sees("INC-4711")
	ada.everyPage("/", "/ledger", "/people", "/access", "/targets", "/reviews", "/privileges", "/account", "/device", "/tenants/globex", "/tenants/globex/access", "/tenants/globex/people")
	for _, path := range []string{"", "/vms", "/subscriptions", "/access", "/access/" + grants[0].ID, "/sessions", "/decisions", "/decisions/" + d.ID, "/keys", "/activity", "/incidents", "/ledger", "/reviews", "/privileges", "/people"} {
		olga.everyPage("/tenants/globex" + path)
	}
	olga.foreignForms(grants[0].ID)
	olga.wrongOrigin()
}

// signsInByKeyboard signs out and in again without a pointer.
func (v *visitor) signsInByKeyboard() {
	v.t.Helper()
	// The page offers passkeys as soon as it is open: nobody touches the device yet.
	v.do("let go of the authenticator", webauthn.SetAutomaticPresenceSimulation(v.device, false))
	v.press("header form button")
	v.sees("Sign in with a passkey")
	v.do("touch the authenticator", webauthn.SetAutomaticPresenceSimulation(v.device, true))
	v.do("sign in by key", chromedp.Focus("[data-passkey-button]", chromedp.ByQuery), chromedp.KeyEvent(kb.Enter), chromedp.WaitVisible("header.top", chromedp.ByQuery))
	v.sees("Overview")
}

// registersTarget starts a host and registers it in the console.
func (v *visitor) registersTarget(s *server) *sshdtest.Server {
	v.t.Helper()
	v.makesToken(s)
	keys, err := s.client.GatewayKeys(v.t.Context())
	if err != nil {
		v.t.Fatal(err)
	}
	authority, _, _, _, err := ssh.ParseAuthorizedKey([]byte(keys.TrustedUserCA))
	if err != nil {
		v.t.Fatal(err)
	}
	host := sshdtest.Start(v.t, authority)
	v.open("/targets")
	v.fill("#name", "hv-1")
	v.fill("#address", host.Address)
	v.fill("#user", host.Login)
	v.fill("#trust", host.HostKey)
	v.press("aside form button")
	v.sees(host.Address)
	return host
}

// makesToken has the command line and the client act as the person.
func (v *visitor) makesToken(s *server) {
	v.t.Helper()
	v.open("/account")
	v.fill("#token-name", "test")
	v.do("choose everything", chromedp.Evaluate(`document.querySelectorAll("input[name=scope]").forEach((b) => { b.checked = true; })`, nil))
	v.press("form:has(#token-name) button")
	s.client = &api.Client{Base: s.client.Base, Token: v.text(".once .secret code")}
}

// useAccess opens a session under the grant and says something in it.
func (v *visitor) useAccess(s *server, host *sshdtest.Server, grant string) {
	t := v.t
	t.Helper()
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := ssh.NewSignerFromKey(private)
	if err != nil {
		t.Fatal(err)
	}
	got, err := s.client.Certify(t.Context(), grant, api.NewCertificate{PublicKey: string(ssh.MarshalAuthorizedKey(signer.PublicKey()))})
	if err != nil {
		t.Fatal(err)
	}
	key, _, _, _, err := ssh.ParseAuthorizedKey([]byte(got.Certificate))
	if err != nil {
		t.Fatal(err)
	}
	certified, err := ssh.NewCertSigner(key.(*ssh.Certificate), signer)
	if err != nil {
		t.Fatal(err)
	}
	known, _, _, _, err := ssh.ParseAuthorizedKey([]byte(got.Gateway.HostKey))
	if err != nil {
		t.Fatal(err)
	}
	conn, err := ssh.Dial("tcp", got.Gateway.Address, &ssh.ClientConfig{
		User: "hv-1", Auth: []ssh.AuthMethod{ssh.PublicKeys(certified)}, HostKeyCallback: ssh.FixedHostKey(known), Timeout: 20 * time.Second,
	})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	session, err := conn.NewSession()
	if err != nil {
		t.Fatal(err)
	}
	if err := session.RequestPty("xterm", 24, 80, nil); err != nil {
		t.Fatal(err)
	}
	in, err := session.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := session.Shell(); err != nil {
		t.Fatal(err)
	}
	fmt.Fprint(in, "echo said in the $(echo session)\nexit\n")
	if err := session.Wait(); err != nil {
		t.Log("the session ended with", err)
	}
}

// everyPage opens pages, none of which may say that something is wrong or scroll
// sideways.
func (v *visitor) everyPage(paths ...string) {
	v.t.Helper()
	for _, path := range paths {
		v.open(path)
		var fault string
		var over int
		v.do("look at "+path, chromedp.Evaluate(`document.querySelector(".problem, .fault:not([hidden])")?.innerText ?? ""`, &fault),
			chromedp.Evaluate(`document.documentElement.scrollWidth - innerWidth`, &over))
		if fault != "" || over > 0 {
			v.t.Errorf("%s says %q, and is %d px too wide", path, fault, over)
		}
	}
}

// foreignForms sends a form from a page of another origin on the same machine,
// which the browser sends with cookies because it is the same site.
func (v *visitor) foreignForms(grant string) {
	v.t.Helper()
	page := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		fmt.Fprintf(w, `<h1>Win a prize</h1><form method="post" action="%s/tenants/globex/access/%s"><input name="do" value="revoke"><input name="text" value="because"><button>Go</button></form>`, v.base, grant)
	}))
	defer page.Close()
	_, port, _ := net.SplitHostPort(page.Listener.Addr().String())
	v.do("open another site", chromedp.Navigate("http://localhost:"+port+"/"), chromedp.WaitVisible("button", chromedp.ByQuery), chromedp.Click("button", chromedp.ByQuery))
	v.sees("The form was sent from another site")
}

// wrongOrigin opens the console by another name than its own: no passkey works
// there, and the page says why.
func (v *visitor) wrongOrigin() {
	v.t.Helper()
	v.base = strings.Replace(v.base, "localhost", "127.0.0.1", 1)
	v.open("/login")
	v.press("[data-passkey-button]")
	v.sees("Open the console by its own name")
}
