package e2e

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/pquerna/otp/totp"

	"github.com/demarc/demarc/api"
)

// TestConsolePasswordAndDevice joins with a password, is led to a second factor,
// signs in with both and with a recovery code, and confirms a command line.
func TestConsolePasswordAndDevice(t *testing.T) {
	s := newServer(t)
	_, port, _ := net.SplitHostPort(s.http)
	v := newVisitor(t, "http://localhost:"+port)
	v.do("open the invitation", navigate(joinLink.FindString(s.proc.output())))
	v.sees("Welcome")
	v.fill("#login", "ada@demarc.example")
	v.fill("#password", "seven quiet herons wade at dusk")
	v.press("form:has(#password) button")
	v.sees("Add a second factor to go on")
	v.do("try to leave", navigate(v.base+"/ledger"))
	v.sees("Add a second factor to go on")

	v.press("form:has(input[value=begin-totp]) button")
	v.until(`document.querySelector("img.qr")?.naturalWidth > 0`)
	secret := strings.ReplaceAll(v.text(".secret code"), " ", "")
	code := func(in time.Duration) string {
		c, err := totp.GenerateCode(secret, time.Now().Add(in))
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	v.fill("#totp-code", code(-time.Second))
	v.press("form:has(#totp-code) button")
	v.sees("Your recovery codes")
	recovery := v.text(".codes code")

	signIn := func(password string) {
		v.press("header form button")
		v.sees("Sign in with a passkey")
		v.fill("#login", "ada@demarc.example")
		v.fill("#password", password)
		v.press("form:has(#password) button")
	}
	signIn("seven loud herons wade at dusk")
	v.until(`document.querySelector("#fault")?.innerText`)
	v.do("go home", navigate(v.base+"/"))
	v.sees("Sign in with a passkey")
	v.fill("#login", "ada@demarc.example")
	v.fill("#password", "seven quiet herons wade at dusk")
	v.press("form:has(#password) button")
	v.sees("Your second factor")
	v.fill("#code", code(29*time.Second)) // each counts once: the next one
	v.press("form:has(#code) button")
	v.sees("Overview")

	signIn("seven quiet herons wade at dusk")
	v.sees("Your second factor")
	v.fill("#recovery", recovery)
	v.press("form:has(#recovery) button")
	v.sees("Overview")
	v.confirmsDevice(s)
}

// confirmsDevice signs a command line in.
func (v *visitor) confirmsDevice(s *server) {
	t := v.t
	t.Helper()
	cli := &api.Client{Base: "http://" + s.http}
	wait, err := cli.BeginDevice(t.Context(), api.DeviceSignIn{Client: "demarc on <laptop>"})
	if err != nil {
		t.Fatal(err)
	}
	v.do("open the link", navigate(v.base+"/device#"+wait.Code))
	v.sees("A program asks to act as you")
	v.sees("demarc on <laptop>")
	v.press("form:has(input[value=confirm]) button")
	v.sees("is signed in as you")
	got, err := cli.PollDevice(t.Context(), api.DeviceQuestion{Device: wait.Device})
	if err != nil || got.Token == "" {
		t.Fatalf("the command line gets %+v (%v)", got, err)
	}
	cli.Token = got.Token
	if me, err := cli.Whoami(t.Context()); err != nil || me.Role != "provider-administrator" || !me.MFA {
		t.Errorf("it acts as %+v (%v)", me, err)
	}
	if raw, err := os.ReadFile(filepath.Join(s.data, "admin.token")); err != nil || strings.TrimSpace(string(raw)) == got.Token {
		t.Errorf("it was given the first start's token (%v)", err)
	}
}
