package identity_test

import (
	"bufio"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"math/big"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/demarc/demarc/internal/access"
	"github.com/demarc/demarc/internal/estate"
	"github.com/demarc/demarc/internal/identity"
	"github.com/demarc/demarc/internal/store"
)

// realOP starts an OpenID provider as a process of its own.
func realOP(t *testing.T, callback string) (issuer string) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), asOP+"="+callback)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(line)
}

// atRealOP signs in at the provider as a browser does and returns what it
// brings back.
func atRealOP(t *testing.T, to string) identity.Returned {
	t.Helper()
	jar, _ := cookiejar.New(nil)
	var back *url.URL
	browser := &http.Client{Jar: jar, CheckRedirect: func(r *http.Request, _ []*http.Request) error {
		if r.URL.Host == "demarc.example" {
			back = r.URL
			return http.ErrUseLastResponse
		}
		return nil
	}}
	res, err := browser.Get(to)
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	at := res.Request.URL
	form := url.Values{"id": {at.Query().Get("authRequestID")}, "username": {"test-user@localhost"}, "password": {"verysecure"}}
	res, err = browser.PostForm(at.Scheme+"://"+at.Host+"/login/username", form)
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	if back == nil {
		t.Fatalf("the provider did not send the browser back: %s at %s", res.Status, res.Request.URL)
	}
	return identity.Returned{State: back.Query().Get("state"), Code: back.Query().Get("code"), Issuer: back.Query().Get("iss")}
}

func TestRealOpenIDProvider(t *testing.T) {
	ids, b, now := setUp(t)
	now.now = time.Now()
	ctx := t.Context()
	issuer := realOP(t, ids.Callback())
	add := func(mfa string) store.IdentityProvider {
		p, err := ids.AddIdentityProvider(ctx, root, identity.NewProvider{Name: "Own " + mfa, Issuer: issuer, ClientID: "demarc", ClientSecret: "client secret", MFA: []string{mfa}})
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	go_ := func(p store.IdentityProvider, invitation string) (identity.Entry, string, error) {
		to, ceremony, err := ids.BeginOIDC(ctx, p.ID, "/tenants/acme?x=1", invitation)
		if err != nil {
			t.Fatal(err)
		}
		if u, _ := url.Parse(to); u.Query().Get("code_challenge_method") != "S256" || u.Query().Get("nonce") == "" || u.Query().Get("state") == "" {
			t.Errorf("sent to %s", to)
		}
		return ids.FinishOIDC(ctx, here, ceremony, atRealOP(t, to))
	}
	strict := add("hwk")
	inv := invited(t, ids, access.ProviderAdministrator, "", "Ada")
	if _, _, err := go_(strict, inv); !errors.Is(err, identity.ErrNoFactor) {
		t.Errorf("a provider's role without a second factor: %v", err)
	}
	if err := ids.RemoveIdentityProvider(ctx, root, strict.ID); err != nil {
		t.Fatal(err)
	}
	// The provider of the test says amr pwd; here it stands for a second factor.
	p := add("pwd")
	if _, _, err := go_(p, ""); !errors.Is(err, identity.ErrSignIn) {
		t.Errorf("nobody was invited: %v", err)
	}
	settled := false
	ids.Settled = func() { settled = true }
	joined, back, err := go_(p, inv)
	if err != nil || back != "/tenants/acme?x=1" || !joined.MFA || !settled {
		t.Fatalf("%+v back to %q, settled %v, %v", joined, back, settled, err)
	}
	e, _, err := go_(p, "")
	if err != nil || e.Person.ID != joined.Person.ID || !acting(t, ids, e.Secret).MFA {
		t.Errorf("%+v, %v", e, err)
	}
	if _, _, err := go_(p, invited(t, ids, access.ProviderOperator, "", "Two")); !errors.Is(err, store.ErrConflict) {
		t.Errorf("one account for two people: %v", err)
	}
	if _, err := ids.Remove(ctx, root, joined.Person.ID); !errors.Is(err, store.ErrConflict) {
		t.Errorf("the last administrator was removed: %v", err)
	}
	if strings.Contains(b.actions(), "Ada") {
		t.Error(b.actions())
	}
}

// badOP is an OpenID provider that can be told to lie.
type badOP struct {
	*httptest.Server
	key, other *rsa.PrivateKey
	// change changes the claims of the next ID token, sign which key signs.
	change func(claims map[string]any)
	sign   *rsa.PrivateKey
	alg    string
	nonce  string
}

func newBadOP(t *testing.T) *badOP {
	t.Helper()
	o := &badOP{alg: "RS256"}
	for _, k := range []**rsa.PrivateKey{&o.key, &o.other} {
		var err error
		if *k, err = rsa.GenerateKey(rand.Reader, 2048); err != nil {
			t.Fatal(err)
		}
	}
	mux := http.NewServeMux()
	o.Server = httptest.NewServer(mux)
	t.Cleanup(o.Close)
	mux.HandleFunc("/.well-known/openid-configuration", func(w http.ResponseWriter, _ *http.Request) {
		json.NewEncoder(w).Encode(map[string]any{
			"issuer": o.URL, "authorization_endpoint": o.URL + "/auth", "token_endpoint": o.URL + "/token", "jwks_uri": o.URL + "/keys",
			"id_token_signing_alg_values_supported": []string{"RS256"},
		})
	})
	mux.HandleFunc("/keys", func(w http.ResponseWriter, _ *http.Request) {
		json.NewEncoder(w).Encode(map[string]any{"keys": []any{map[string]any{
			"kty": "RSA", "kid": "k", "alg": "RS256", "use": "sig", "n": b64(o.key.N.Bytes()), "e": b64(big.NewInt(int64(o.key.E)).Bytes()),
		}}})
	})
	mux.HandleFunc("/token", func(w http.ResponseWriter, r *http.Request) {
		if r.FormValue("code_verifier") == "" {
			http.Error(w, "no PKCE", http.StatusBadRequest)
			return
		}
		claims := map[string]any{
			"iss": o.URL, "sub": "someone", "aud": "demarc", "nonce": o.nonce, "iat": time.Now().Unix(), "exp": time.Now().Add(time.Minute).Unix(), "amr": []string{"mfa"},
		}
		if o.change != nil {
			o.change(claims)
		}
		w.Header().Set("Content-Type", "application/json")
		json.NewEncoder(w).Encode(map[string]any{"access_token": "a", "token_type": "Bearer", "id_token": o.token(claims)})
	})
	return o
}

func b64(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

func (o *badOP) token(claims map[string]any) string {
	head, _ := json.Marshal(map[string]any{"alg": o.alg, "kid": "k"})
	text, _ := json.Marshal(claims)
	body := b64(head) + "." + b64(text)
	if o.alg == "none" {
		return body + "."
	}
	sum := sha256.Sum256([]byte(body))
	key := o.key
	if o.sign != nil {
		key = o.sign
	}
	sig, err := rsa.SignPKCS1v15(rand.Reader, key, crypto.SHA256, sum[:])
	if err != nil {
		panic(err)
	}
	return body + "." + b64(sig)
}

// TestLyingOpenIDProvider: an ID token that is right but for one thing signs
// nobody in.
func TestLyingOpenIDProvider(t *testing.T) {
	ids, _, now := setUp(t)
	now.now = time.Now()
	ctx := t.Context()
	o := newBadOP(t)
	p, err := ids.AddIdentityProvider(ctx, root, identity.NewProvider{Name: "Own", Issuer: o.URL, ClientID: "demarc", MFA: []string{"mfa"}})
	if err != nil {
		t.Fatal(err)
	}
	travel := func(invitation string, r identity.Returned) error {
		to, ceremony, err := ids.BeginOIDC(ctx, p.ID, "/", invitation)
		if err != nil {
			t.Fatal(err)
		}
		u, _ := url.Parse(to)
		o.nonce = u.Query().Get("nonce")
		if r.State == "" {
			r.State = u.Query().Get("state")
		}
		if r.Code == "" {
			r.Code = "code"
		}
		_, _, err = ids.FinishOIDC(ctx, here, ceremony, r)
		return err
	}
	if err := travel(invited(t, ids, access.ProviderOperator, "", "Oto"), identity.Returned{}); err != nil {
		t.Fatal(err)
	}
	if err := travel("", identity.Returned{}); err != nil {
		t.Fatal(err)
	}
	set := func(k string, v any) func(map[string]any) { return func(c map[string]any) { c[k] = v } }
	for what, change := range map[string]func(map[string]any){
		"another nonce": set("nonce", "x"), "no nonce": func(c map[string]any) { delete(c, "nonce") }, "another audience": set("aud", "other"),
		"no audience": func(c map[string]any) { delete(c, "aud") }, "audiences without a party": set("aud", []string{"demarc", "other"}),
		"another party": set("azp", "other"), "another issuer": set("iss", "https://op.example"), "expired": set("exp", time.Now().Add(-time.Minute).Unix()),
		"no expiry": func(c map[string]any) { delete(c, "exp") }, "from the future": set("nbf", time.Now().Add(time.Hour).Unix()),
		"another subject": set("sub", "somebody else"), "no subject": set("sub", ""), "no second factor": set("amr", []string{"pwd"}),
		"amr that is no list": set("amr", "mfa"),
	} {
		o.change = change
		err := travel("", identity.Returned{})
		if want := map[bool]error{true: identity.ErrNoFactor, false: identity.ErrSignIn}[what == "no second factor"]; !errors.Is(err, want) {
			t.Errorf("%s: %v", what, err)
		}
	}
	o.change, o.sign = nil, o.other
	if err := travel("", identity.Returned{}); !errors.Is(err, identity.ErrSignIn) {
		t.Errorf("signed with another key: %v", err)
	}
	o.sign, o.alg = nil, "none"
	if err := travel("", identity.Returned{}); !errors.Is(err, identity.ErrSignIn) {
		t.Errorf("not signed: %v", err)
	}
	o.alg = "HS256"
	if err := travel("", identity.Returned{}); !errors.Is(err, identity.ErrSignIn) {
		t.Errorf("signed with another algorithm: %v", err)
	}
	o.alg = "RS256"
	if err := travel("", identity.Returned{State: "another"}); !errors.Is(err, identity.ErrCeremony) {
		t.Errorf("another state: %v", err)
	}
	if err := travel("", identity.Returned{Issuer: "https://mixed.up"}); !errors.Is(err, identity.ErrSignIn) {
		t.Errorf("from another issuer: %v", err)
	}
	_, ceremony, err := ids.BeginOIDC(ctx, p.ID, "/", "")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []string{"", "made up", ceremony[:len(ceremony)-1] + "x"} {
		if _, _, err := ids.FinishOIDC(ctx, here, c, identity.Returned{State: "s", Code: "c"}); !errors.Is(err, identity.ErrCeremony) {
			t.Errorf("another browser: %v", err)
		}
	}
}

// TestReturnPath: a sign-in leads to pages of the console only.
func TestReturnPath(t *testing.T) {
	ids, _, now := setUp(t)
	now.now = time.Now()
	o := newBadOP(t)
	p, err := ids.AddIdentityProvider(t.Context(), root, identity.NewProvider{Name: "Own", Issuer: o.URL, ClientID: "demarc", MFA: []string{"mfa"}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := ids.AddIdentityProvider(t.Context(), root, identity.NewProvider{Name: "x", Issuer: o.URL + "/other", ClientID: "demarc", MFA: []string{"mfa"}}); !errors.Is(err, estate.ErrInvalid) {
		t.Errorf("an issuer that says it is another: %v", err)
	}
	inv := invited(t, ids, access.ProviderOperator, "", "Oto")
	for from, want := range map[string]string{
		"/tenants/acme": "/tenants/acme", "/": "/", "/a?b=c#d": "/a?b=c#d", "": "/", "//evil.test": "/", "https://evil.test": "/", "/\\evil.test": "/",
		"/\t/evil.test": "/", "javascript:alert(1)": "/", "evil.test": "/", "/v1/sign-out": "/", "/login?next=x": "/", "http:/evil.test": "/", "/%zz": "/",
	} {
		to, ceremony, err := ids.BeginOIDC(t.Context(), p.ID, from, inv)
		if err != nil {
			t.Fatal(err)
		}
		inv = ""
		u, _ := url.Parse(to)
		o.nonce = u.Query().Get("nonce")
		_, back, err := ids.FinishOIDC(t.Context(), here, ceremony, identity.Returned{State: u.Query().Get("state"), Code: "c"})
		if err != nil || back != want {
			t.Errorf("%q leads to %q, %v", from, back, err)
		}
	}
}

// TestIdentityProviderOfACustomer cannot lead the server into networks that are
// not public.
func TestIdentityProviderOfACustomer(t *testing.T) {
	ids, _, _ := setUp(t)
	tenantWithKey(t, ids, "t-1")
	var asked bool
	inside := httptest.NewTLSServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked = true }))
	defer inside.Close()
	hidden := regexp.MustCompile(`127\.0\.0\.1:\d+: |refused|no such host|x509`)
	for _, issuer := range []string{inside.URL, "http://op.example", "https://localhost:1", "https://169.254.169.254", "https://10.0.0.1", "https://[::1]:1", "ftp://op.example", "https://op.example/?q", "https://u@op.example", "not a URL", ""} {
		_, err := ids.AddIdentityProvider(t.Context(), root, identity.NewProvider{Tenant: "t-1", Name: "x", Issuer: issuer, ClientID: "demarc"})
		if !errors.Is(err, estate.ErrInvalid) {
			t.Errorf("%s: %v", issuer, err)
		}
		if err != nil && hidden.MatchString(err.Error()) {
			t.Errorf("%s: the answer tells what is there: %v", issuer, err)
		}
	}
	if asked {
		t.Error("the server asked inside")
	}
	for what, n := range map[string]identity.NewProvider{
		"no name": {Issuer: "https://op.example", ClientID: "x", MFA: []string{"mfa"}}, "no client": {Name: "x", Issuer: "https://op.example", MFA: []string{"mfa"}},
		"no second factor": {Name: "x", Issuer: "https://op.example", ClientID: "x"}, "a value with spaces": {Name: "x", Issuer: "https://op.example", ClientID: "x", MFA: []string{"a b"}},
	} {
		if _, err := ids.AddIdentityProvider(t.Context(), root, n); !errors.Is(err, estate.ErrInvalid) {
			t.Errorf("%s: %v", what, err)
		}
	}
}
