package httpapi_test

import (
	"crypto/ed25519"
	"io"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/demarc/demarc/api"
	"github.com/demarc/demarc/internal/access"
	"github.com/demarc/demarc/internal/gateway/sshdtest"
)

// TestEndOfGrantEndsSessions opens shells on a real host through the gateway,
// under grants that the customer signed, and ends the grants in each way that
// people can: within a second the connection is closed.
//
//demarc:duty CLD.9.5.1/P-3.3a
//demarc:duty CLD.9.5.1/P-3.3b
func TestEndOfGrantEndsSessions(t *testing.T) {
	r := shared
	w := r.customer(t, "live")
	keys := must[api.GatewayKeys](t, r, 200, request{path: "/v1/targets/ca", token: r.root})
	authority, _, _, _, err := ssh.ParseAuthorizedKey([]byte(keys.TrustedUserCA))
	if err != nil {
		t.Fatal(err)
	}
	host := sshdtest.Start(t, authority)
	hv := must[api.Target](t, r, 201, request{method: "POST", path: "/v1/targets", token: r.root, body: api.NewTarget{
		Name: r.name("hv"), Kind: "host", Address: host.Address, User: host.Login, HostKeys: []string{host.HostKey},
	}})
	say := func(token, id, what string) {
		must[api.Grant](t, r, 200, request{method: "POST", path: w.path("/grants/" + id + "/" + what), token: token, body: api.Words{Words: "it is enough"}})
	}
	for what, end := range map[string]func(id string, holder api.Principal){
		"revoked by the customer": func(id string, _ api.Principal) { say(w.owner.Token, id, "revoke") },
		"revoked by the provider": func(id string, _ api.Principal) { say(r.support, id, "revoke") },
		"closed by its holder":    func(id string, holder api.Principal) { say(holder.Token, id, "close") },
		"its holder is ended": func(_ string, holder api.Principal) {
			if _, err := r.Identities().Revoke(t.Context(), r.actor(access.ProviderAdministrator, ""), holder.ID); err != nil {
				t.Fatal(err)
			}
		},
	} {
		t.Run(what, func(t *testing.T) {
			eva := r.providerPerson(t, access.ProviderOperator)
			g := must[api.Grant](t, r, 201, request{method: "POST", path: w.path("/grants"), token: eva.Token, body: api.NewGrant{
				Ticket: "INC-1", Purpose: "look at a disk", Scope: []api.Ability{{Do: "shell", Target: hv.Name}}, Minutes: 30,
			}})
			w.approve(t, r, g.ID)
			closed := r.shell(t, eva.Token, g.ID, hv.Name)
			began := time.Now()
			end(g.ID, eva)
			select {
			case <-closed:
				t.Logf("closed after %s", time.Since(began))
			case <-time.After(time.Second):
				t.Error("a second later it is still open")
			}
			r.judge(t, w)
			r.expectOf(t, w, "CLD.9.5.1/P-3.3b", "met", "")
			r.expect(t, r.root, "CLD.9.5.1/P-3.3a", "met", "")
		})
	}
}

// approve approves a request and signs.
func (w world) approve(t testing.TB, r *rig, id string) {
	t.Helper()
	p := must[api.GrantProposal](t, r, 202, request{method: "POST", path: w.path("/grants/" + id + "/approve"), token: w.owner.Token, body: api.ApproveGrant{}})
	w.sign(t, r, must[api.Decision](t, r, 200, request{path: w.path("/decisions/" + p.Decision), token: w.owner.Token}))
}

// shell opens a shell under the grant, sees that it answers, and returns what is
// closed with its connection.
func (r *rig) shell(t *testing.T, token, grant, target string) (closed <-chan struct{}) {
	t.Helper()
	_, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	key, err := ssh.NewSignerFromKey(private)
	if err != nil {
		t.Fatal(err)
	}
	made := must[api.Certificate](t, r, 201, request{method: "POST", path: "/v1/grants/" + grant + "/certificate", token: token, body: api.NewCertificate{
		PublicKey: string(ssh.MarshalAuthorizedKey(key.PublicKey())),
	}})
	public, _, _, _, err := ssh.ParseAuthorizedKey([]byte(made.Certificate))
	if err != nil {
		t.Fatal(err)
	}
	signer, err := ssh.NewCertSigner(public.(*ssh.Certificate), key)
	if err != nil {
		t.Fatal(err)
	}
	gateway, _, _, _, err := ssh.ParseAuthorizedKey([]byte(made.Gateway.HostKey))
	if err != nil {
		t.Fatal(err)
	}
	conn, err := ssh.Dial("tcp", made.Gateway.Address, &ssh.ClientConfig{
		User: target, Auth: []ssh.AuthMethod{ssh.PublicKeys(signer)}, HostKeyCallback: ssh.FixedHostKey(gateway), Timeout: 10 * time.Second,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	s, err := conn.NewSession()
	if err != nil {
		t.Fatal(err)
	}
	in, err := s.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := s.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := s.RequestPty("xterm", 24, 80, nil); err != nil {
		t.Fatal(err)
	}
	if err := s.Shell(); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(in, "echo answer $((40 + 2))\n"); err != nil {
		t.Fatal(err)
	}
	seen, buf := "", make([]byte, 4096)
	for !strings.Contains(seen, "answer 42") {
		n, err := out.Read(buf)
		if seen += string(buf[:n]); err != nil {
			t.Fatalf("the shell said %q: %v", seen, err)
		}
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		io.Copy(io.Discard, out)
		conn.Wait()
	}()
	return done
}
