package console_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

// browse starts a browser with a profile of its own, or skips.
func browse(t *testing.T) context.Context {
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
	tab := ctx
	t.Cleanup(func() {
		// Waits until the browser has ended and left its profile.
		if err := chromedp.Cancel(tab); err != nil {
			t.Log("ending the browser:", err)
		}
	})
	run(t, ctx, "start the browser")
	ctx, cancel = context.WithTimeout(ctx, 4*time.Minute)
	t.Cleanup(cancel)
	chromedp.ListenTarget(ctx, func(ev any) {
		switch e := ev.(type) {
		case *runtime.EventExceptionThrown:
			t.Errorf("script failed: %s", e.ExceptionDetails.Text)
		}
	})
	return ctx
}

// site serves console and API as the server does.
func site(t *testing.T, f *fakeAPI) string {
	t.Helper()
	mux := http.NewServeMux()
	mux.Handle("/v1/", f)
	mux.Handle("/", newConsole(t, f))
	s := httptest.NewServer(mux)
	t.Cleanup(func() {
		f.cut()
		s.CloseClientConnections()
		s.Close()
	})
	return s.URL
}

func run(t *testing.T, ctx context.Context, what string, actions ...chromedp.Action) {
	t.Helper()
	if err := chromedp.Run(ctx, actions...); err != nil {
		t.Fatalf("%s: %v", what, err)
	}
}

// until waits for an expression to be true.
func until(expression string) chromedp.Action {
	return chromedp.Poll(expression, nil, chromedp.WithPollingTimeout(15*time.Second))
}

// TestBrowser signs in, moves by keyboard, filters, and sees a verdict change
// and the connection break, in a real browser under the real policy.
func TestBrowser(t *testing.T) {
	ctx := browse(t)
	f := newFakeAPI(t, 50, time.Now().UTC())
	base := site(t, f)
	duty := "CLD.6.3.1/C-1.1a"
	for _, d := range f.duties {
		if d.Scope == "tenant" && d.Party == "customer" && f.verdicts[d.ID]["t-1"] == "met" {
			duty = d.ID
			break
		}
	}
	chip := `document.getElementById("customer-` + duty + `")`
	var there string
	run(t, ctx, "sign in", chromedp.Navigate(base+"/tenants/globex"), chromedp.WaitVisible("summary", chromedp.ByQuery),
		chromedp.Evaluate(`document.querySelector("#token").closest("details").open = true`, nil), chromedp.WaitVisible("#token", chromedp.ByQuery),
		chromedp.SendKeys("#token", "token-wrong"+kb.Enter, chromedp.ByQuery), chromedp.WaitVisible("#fault", chromedp.ByQuery),
		chromedp.SendKeys("#token", "token-admin"+kb.Enter, chromedp.ByQuery), chromedp.WaitVisible("#matrix", chromedp.ByQuery), chromedp.Location(&there))
	if there != base+"/tenants/globex" {
		t.Errorf("after signing in at %s", there)
	}

	run(t, ctx, "filter by key", chromedp.KeyEvent("/"), until(`document.activeElement.id === "q"`),
		chromedp.KeyEvent("ssh"), until(`document.querySelectorAll(".chip:not([hidden])").length < 20`),
		chromedp.KeyEvent(kb.Escape), until(`document.querySelectorAll(".chip:not([hidden])").length > 144`))
	run(t, ctx, "move by arrows", chromedp.KeyEvent(kb.ArrowDown), until(`document.activeElement === document.querySelector(".customer .chip")`),
		chromedp.KeyEvent(kb.ArrowDown), until(`document.activeElement === document.querySelectorAll(".customer .chip")[1]`),
		chromedp.KeyEvent(kb.ArrowRight), until(`document.activeElement.closest(".half").classList.contains("provider")`),
		chromedp.KeyEvent(kb.ArrowLeft), until(`document.activeElement.closest(".half").classList.contains("customer")`))

	run(t, ctx, "connect", until(`document.querySelector("#matrix").dataset.state === "live"`),
		chromedp.Evaluate(chip+`.focus()`, nil))
	f.change(duty, "t-1", "not-met")
	run(t, ctx, "see the change", until(chip+`.classList.contains("v-not-met") && `+chip+`.classList.contains("flash")`),
		until(`document.activeElement === `+chip), until(`document.querySelector("#announce").textContent.includes("is now not met")`))
	shoot(t, ctx, "flash")
	f.cut()
	run(t, ctx, "lose the connection", until(`!document.querySelector("#banner").hidden`))
	run(t, ctx, "connect again", until(`document.querySelector("#banner").hidden`))

	run(t, ctx, "open by key", chromedp.Evaluate(chip+`.focus()`, nil), chromedp.KeyEvent(kb.Enter), chromedp.WaitVisible("#answer", chromedp.ByQuery), chromedp.Location(&there))
	if there != base+"/tenants/globex/duties/"+duty {
		t.Errorf("Enter leads to %s", there)
	}
}

// signIn signs in with the token of somebody.
func signIn(t *testing.T, ctx context.Context, base, who string) {
	t.Helper()
	run(t, ctx, "sign in as "+who, network.ClearBrowserCookies(), chromedp.Navigate(base+"/login?with=token"), chromedp.WaitVisible("#token", chromedp.ByQuery),
		chromedp.SendKeys("#token", "token-"+who+kb.Enter, chromedp.ByQuery), chromedp.WaitVisible("header.top", chromedp.ByQuery))
}

// TestBrowserWidth finds pages that scroll sideways on a desk or a telephone,
// in light and dark. With SCREENSHOTS set to a folder it keeps a picture of each.
func TestBrowserWidth(t *testing.T) {
	ctx := browse(t)
	f := newFakeAPI(t, 50, time.Now().UTC())
	base := site(t, f)
	f.access.keys.Keys[0].RPID = "127.0.0.1" // so that its holder is offered to sign
	const globex = "/tenants/globex"
	for who, pages := range map[string]map[string]string{
		"": {"login": "/login", "login-password": "/login?with=password", "join": "/join"},
		"admin": {
			"overview": "/", "matrix": globex, "past": globex + "?at=" + f.now.AddDate(0, -2, 0).Format(time.DateOnly),
			"duty": sshDuty + "?vm=web-01", "duty-all": sshDuty, "vms": globex + "/vms", "vm": globex + "/vms/web-01",
			"subscriptions": globex + "/subscriptions", "ledger": "/ledger", "problem": "/nowhere", "provider-people": "/people", "targets": "/targets", "provider-reviews": "/reviews",
			"invite-owner": globex + "/people",
		},
		"support":  {"myaccess": "/access", "request-mine": globex + "/access/gr-4", "connect": globex + "/access/gr-2"},
		"security": {"glass-mine": globex + "/access/gr-3"},
		"approver": {"requests": globex + "/access", "request": globex + "/access/gr-1", "request-live": globex + "/access/gr-2", "decision": globex + "/decisions/d-1"},
		"owner": {
			"account": "/account", "device": "/device", "people": globex + "/people", "glass": globex + "/access/gr-3", "sessions": globex + "/sessions",
			"session": globex + "/sessions/s-1", "session-cut": globex + "/sessions/s-3", "decisions": globex + "/decisions", "decision-keys": globex + "/decisions/d-5", "keys": globex + "/keys",
			"activity": globex + "/activity", "incidents": globex + "/incidents", "reviews": globex + "/reviews", "review": globex + "/reviews/rv-1", "review-signed": globex + "/reviews/rv-3", "privileges": globex + "/privileges",
			"owner-matrix": globex,
		},
	} {
		if who != "" {
			signIn(t, ctx, base, who)
		}
		for name, path := range pages {
			for _, scheme := range []string{"light", "dark"} {
				for size, width := range map[string]int64{"": 1280, "-phone": 390} {
					var over int
					var ground string
					run(t, ctx, name, chromedp.EmulateViewport(width, 900),
						emulation.SetEmulatedMedia().WithFeatures([]*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}}),
						chromedp.Navigate(base+path), chromedp.WaitVisible("h1", chromedp.ByQuery),
						chromedp.Evaluate(`document.documentElement.scrollWidth - innerWidth`, &over),
						chromedp.Evaluate(`getComputedStyle(document.documentElement).backgroundColor`, &ground))
					if over > 0 {
						t.Errorf("%s at %d px scrolls %d px sideways", path, width, over)
					}
					if dark := strings.HasPrefix(ground, "rgb(13"); dark != (scheme == "dark") {
						t.Errorf("%s in %s has the ground %s", path, scheme, ground)
					}
					shoot(t, ctx, name+"-"+scheme+size)
				}
			}
		}
	}
}

// shoot keeps a picture where SCREENSHOTS says.
func shoot(t *testing.T, ctx context.Context, name string) {
	t.Helper()
	folder := os.Getenv("SCREENSHOTS")
	if folder == "" {
		return
	}
	var picture []byte
	run(t, ctx, "picture", chromedp.CaptureScreenshot(&picture))
	if err := os.WriteFile(filepath.Join(folder, name+".png"), picture, 0o644); err != nil {
		t.Fatal(err)
	}
}
