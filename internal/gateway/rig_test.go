package gateway_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/demarc/demarc/api/cast"
	"github.com/demarc/demarc/internal/access"
	"github.com/demarc/demarc/internal/estate"
	"github.com/demarc/demarc/internal/gateway"
	"github.com/demarc/demarc/internal/gateway/sshdtest"
	"github.com/demarc/demarc/internal/ident"
	"github.com/demarc/demarc/internal/ledger"
	"github.com/demarc/demarc/internal/recording"
	"github.com/demarc/demarc/internal/sshca"
	"github.com/demarc/demarc/internal/store"
	"github.com/demarc/demarc/internal/store/storetest"
)

// grants is what is granted, in memory.
type grants struct {
	mu    sync.Mutex
	all   map[string]gateway.Grant
	gone  map[string]bool
	ended chan string
}

func (g *grants) Active(_ *store.Tx, id string, now time.Time) (gateway.Grant, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	gr, ok := g.all[id]
	switch {
	case !ok:
		return gateway.Grant{}, fmt.Errorf("grant %q: %w", id, store.ErrNotFound)
	case g.gone[id] || !now.Before(gr.Until):
		return gateway.Grant{}, fmt.Errorf("grant %q is not in force: %w", id, store.ErrConflict)
	}
	return gr, nil
}

func (g *grants) Ended() (<-chan string, func()) { return g.ended, func() {} }

// end ends a grant, in this process or as another server would.
func (g *grants) end(id string, here bool) {
	g.mu.Lock()
	g.gone[id] = true
	g.mu.Unlock()
	if here {
		g.ended <- id
	}
}

// until moves a grant's end.
func (g *grants) until(id string, t time.Time) {
	g.mu.Lock()
	defer g.mu.Unlock()
	gr := g.all[id]
	gr.Until = t
	g.all[id] = gr
}

func (g *grants) put(gr gateway.Grant) gateway.Grant {
	g.mu.Lock()
	defer g.mu.Unlock()
	gr.ID = ident.New("g")
	g.all[gr.ID] = gr
	return gr
}

type people struct {
	mu  sync.Mutex
	out map[string]bool
}

func (p *people) Standing(_ *store.Tx, id string) (access.Principal, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.out[id] {
		return access.Principal{}, store.ErrNotFound
	}
	return access.Principal{ID: id, Name: "Ana", Role: access.ProviderOperator, Kind: access.Person, MFA: true}, nil
}

func (p *people) remove(id string) { p.mu.Lock(); defer p.mu.Unlock(); p.out[id] = true }

func (p *people) restore(id string) { p.mu.Lock(); defer p.mu.Unlock(); p.out[id] = false }

type guests struct{ m sync.Map }

func (g *guests) GuestAt(_ *store.Tx, a netip.Addr) (string, error) {
	v, _ := g.m.Load(a.String())
	s, _ := v.(string)
	return s, nil
}

func (g *guests) set(addr, vm string) { g.m.Store(addr, vm) }

type secrets map[string][]byte

func (s secrets) Secret(_ context.Context, name string) ([]byte, error) { return s[name], nil }
func (s secrets) SetSecret(_ context.Context, name string, v []byte) error {
	if s[name] == nil {
		s[name] = v
	}
	return nil
}

// rig is a gateway of real parts, but for who is granted what.
type rig struct {
	t         testing.TB
	store     *store.Store
	ledger    *ledger.Log
	authority *sshca.Authority
	recorder  *recording.Recorder
	gateway   *gateway.Gateway
	grants    *grants
	people    *people
	guests    *guests
	secrets   secrets
	tenant    estate.Tenant
	address   string
	dir       string
	log       *lockedBuffer
}

func newRig(t testing.TB) *rig {
	t.Helper()
	r := &rig{t: t, dir: t.TempDir(), guests: &guests{}, secrets: secrets{}, people: &people{out: map[string]bool{}}, log: &lockedBuffer{},
		grants: &grants{all: map[string]gateway.Grant{}, gone: map[string]bool{}, ended: make(chan string)}}
	r.store = storetest.Open(t, storetest.SQLite(t))
	log := slog.New(slog.NewTextHandler(r.log, nil))
	var err error
	if r.ledger, err = ledger.New(ledger.Config{Store: r.store, Origin: "demarc/test"}); err != nil {
		t.Fatal(err)
	}
	if r.authority, err = sshca.Open(t.Context(), r.secrets, time.Now); err != nil {
		t.Fatal(err)
	}
	r.tenant = estate.Tenant{ID: ident.New("t"), Name: "acme", CreatedAt: time.Now()}
	if err := r.store.Write(t.Context(), func(tx *store.Tx) error { return tx.InsertTenant(&r.tenant) }); err != nil {
		t.Fatal(err)
	}
	r.recorder, err = recording.Open(recording.Config{Store: r.store, Ledger: r.ledger, Dir: filepath.Join(r.dir, "recordings"), Now: time.Now, Log: log})
	if err != nil {
		t.Fatal(err)
	}
	r.gateway = gateway.New(gateway.Config{
		Store: r.store, Ledger: r.ledger, Authority: r.authority, Recorder: r.recorder, Grants: r.grants, People: r.people, Guests: r.guests,
		Now: time.Now, Log: log,
	})
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r.address = l.Addr().String()
	r.background(func(ctx context.Context) error { return r.recorder.Run(ctx) })
	r.background(func(ctx context.Context) error { return r.gateway.Serve(ctx, l) })
	r.background(func(ctx context.Context) error { return r.gateway.Watch(ctx) })
	t.Cleanup(func() {
		if t.Failed() {
			t.Log(r.log.String())
		}
	})
	return r
}

// background runs f until the test ends: what was begun last ends first.
func (r *rig) background(f func(context.Context) error) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- f(ctx) }()
	r.t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			r.t.Error(err)
		}
	})
}

var admin = access.Principal{ID: "p-admin", Role: access.ProviderAdministrator, Kind: access.Person, MFA: true}

// host starts sshd and registers it under the name.
func (r *rig) host(name string, more ...string) (*sshdtest.Server, store.Target) {
	r.t.Helper()
	s := sshdtest.Start(r.t, r.authority.Targets(), more...)
	return s, r.register(name, s)
}

func (r *rig) register(name string, s *sshdtest.Server) store.Target {
	r.t.Helper()
	t, err := r.gateway.AddTarget(r.t.Context(), admin, store.Target{
		Name: name, Kind: "host", Address: s.Address, Login: s.Login, Trust: store.Trust{HostKeys: []string{s.HostKey}},
	})
	if err != nil {
		r.t.Fatal(err)
	}
	return t
}

const holder = "p-ana"

// grant grants abilities on the target for an hour.
func (r *rig) grant(target store.Target, do ...string) gateway.Grant {
	g := gateway.Grant{Tenant: r.tenant.ID, Holder: holder, Until: time.Now().Add(time.Hour)}
	for _, d := range do {
		g.Scope = append(g.Scope, gateway.Ability{Do: d, Target: target.ID})
	}
	return r.grants.put(g)
}

// keyFiles writes a private key and its certificate, and returns the key's path.
func (r *rig) keyFiles(cert func(pub string) *ssh.Certificate) string {
	r.t.Helper()
	pub, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		r.t.Fatal(err)
	}
	block, err := ssh.MarshalPrivateKey(private, "")
	if err != nil {
		r.t.Fatal(err)
	}
	key, err := ssh.NewPublicKey(pub)
	if err != nil {
		r.t.Fatal(err)
	}
	path := filepath.Join(r.t.TempDir(), "key")
	must(r.t, os.WriteFile(path, pem.EncodeToMemory(block), 0o600))
	must(r.t, os.WriteFile(path+"-cert.pub", ssh.MarshalAuthorizedKey(cert(string(ssh.MarshalAuthorizedKey(key)))), 0o600))
	return path
}

// certified is keyFiles for a grant, as its holder gets it.
func (r *rig) certified(g gateway.Grant) string {
	r.t.Helper()
	return r.keyFiles(func(pub string) *ssh.Certificate {
		c, err := r.gateway.Certify(r.t.Context(), access.Principal{ID: g.Holder, Role: access.ProviderOperator, Kind: access.Person, MFA: true}, g.ID, pub)
		if err != nil {
			r.t.Fatal(err)
		}
		return c
	})
}

// targetKey is the key of a certificate that the gateway uses towards targets.
func (r *rig) targetKey() string {
	r.t.Helper()
	signer, err := r.authority.SignerFor("hv-1", "stolen", false)
	must(r.t, err)
	return r.keyFiles(func(string) *ssh.Certificate { return signer.PublicKey().(*ssh.Certificate) })
}

// sshArgs are the arguments of ssh up to the user's own.
func (r *rig) sshArgs(key string) []string {
	host, port, _ := net.SplitHostPort(r.address)
	known := key + ".known"
	must(r.t, os.WriteFile(known, []byte("["+host+"]:"+port+" "+string(ssh.MarshalAuthorizedKey(r.authority.Gateway().PublicKey()))), 0o600))
	return []string{"-F", "none", "-i", key, "-o", "CertificateFile=" + key + "-cert.pub", "-o", "IdentitiesOnly=yes", "-o", "StrictHostKeyChecking=yes",
		"-o", "UserKnownHostsFile=" + known, "-o", "GlobalKnownHostsFile=none", "-o", "BatchMode=yes"}
}

// ssh runs the real client and returns what it printed, standard error too.
func (r *rig) ssh(key, stdin string, args ...string) (out string, err error) {
	r.t.Helper()
	path, e := exec.LookPath("ssh")
	if e != nil {
		r.t.Skip("ssh is not installed: apt-get install openssh-client")
	}
	host, port, _ := net.SplitHostPort(r.address)
	ctx, cancel := context.WithTimeout(r.t.Context(), 20*time.Second)
	defer cancel()
	full := append(r.sshArgs(key), "-p", port, "-l", "hv-1")
	full = append(append(full, options(args)...), host)
	cmd := exec.CommandContext(ctx, path, append(full, rest(args)...)...)
	cmd.Env = append(os.Environ(), "SSH_AUTH_SOCK=")
	cmd.Stdin = strings.NewReader(stdin)
	var buf lockedBuffer
	cmd.Stdout, cmd.Stderr = &buf, &buf
	err = cmd.Run()
	return buf.String(), err
}

// options are the arguments before "--", rest those after it.
func options(args []string) []string {
	for i, a := range args {
		if a == "--" {
			return args[:i]
		}
	}
	return args
}

func rest(args []string) []string { return args[min(len(args), len(options(args))+1):] }

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// recordings waits until n recordings of the grant are closed, and returns them.
func (r *rig) recordings(g gateway.Grant, n int) []store.Recording {
	r.t.Helper()
	for deadline := time.Now().Add(10 * time.Second); ; {
		var all []store.Recording
		must(r.t, r.store.Read(r.t.Context(), func(tx *store.Tx) (err error) {
			all, err = tx.Recordings(store.RecordingFilter{Grant: g.ID}, store.Page{})
			return err
		}))
		closed := 0
		for _, rec := range all {
			if rec.State != "open" {
				closed++
			}
		}
		if closed == n && len(all) == n {
			return all
		}
		if time.Now().After(deadline) {
			r.t.Fatalf("%d recordings, %d of them closed; want %d", len(all), closed, n)
		}
		<-time.After(20 * time.Millisecond)
	}
}

// replay verifies a recording and returns its events by code, joined.
func (r *rig) replay(rec store.Recording) map[string]string {
	r.t.Helper()
	v, err := r.recorder.Verify(r.t.Context(), rec)
	must(r.t, err)
	if v.Fault != "" {
		r.t.Fatalf("recording %s: %s", rec.ID, v.Fault)
	}
	f, err := r.recorder.Open(rec, v)
	must(r.t, err)
	defer f.Close()
	c, err := cast.NewReader(f)
	must(r.t, err)
	out := map[string]string{"title": c.Title}
	for {
		e, err := c.Next()
		if err != nil {
			return out
		}
		out[e.Code] += e.Data
	}
}

// live are the open recordings of the grant.
func (r *rig) live(g gateway.Grant) (all []store.Recording) {
	r.t.Helper()
	must(r.t, r.store.Read(r.t.Context(), func(tx *store.Tx) (err error) {
		all, err = tx.Recordings(store.RecordingFilter{Grant: g.ID, State: "open"}, store.Page{})
		return err
	}))
	return all
}

// file is where a recording is kept.
func (r *rig) file(rec store.Recording) string {
	return filepath.Join(r.dir, "recordings", rec.ID+".cast")
}

// acts are the ledger's actions about the subject, oldest first.
func (r *rig) acts(subject string) []string {
	r.t.Helper()
	p, err := r.ledger.Search(r.t.Context(), ledger.Filter{Subject: subject, Limit: 1000})
	must(r.t, err)
	var out []string
	for i := len(p.Lines) - 1; i >= 0; i-- {
		out = append(out, p.Lines[i].Action)
	}
	return out
}

type lockedBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}
