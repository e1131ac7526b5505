// Package gateway is the one way in which the provider's people reach hosts
// and consoles of a customer's environment: an SSH gateway and a proxy for web
// consoles. It lets in who has a certificate for a grant that is in force,
// records everything, and closes what is open when the grant ends. There is
// nothing in it that opens a customer's guest.
package gateway

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/demarc/demarc/internal/access"
	"github.com/demarc/demarc/internal/ledger"
	"github.com/demarc/demarc/internal/recording"
	"github.com/demarc/demarc/internal/sshca"
	"github.com/demarc/demarc/internal/store"
)

// What a grant can allow on a target.
const (
	Shell   = "shell"   // a terminal
	Exec    = "exec"    // one command without a terminal
	SFTP    = "sftp"    // file transfer
	Forward = "forward" // connections from the target onwards
	Console = "console" // a web console
)

// Grant is what the gateway needs to know of a grant that is in force.
type Grant struct {
	ID, Tenant string
	// Holder is the id of the principal who may use it.
	Holder string
	Scope  []Ability
	// Until is when it ends by itself.
	Until time.Time
}

// Ability is one thing that a grant allows on one target, by its id or name.
type Ability struct{ Do, Target string }

// allows reports whether the grant covers it.
func (g Grant) allows(do string, t store.Target) bool {
	for _, a := range g.Scope {
		if a.Do == do && (a.Target == t.ID || a.Target == t.Name) {
			return true
		}
	}
	return false
}

// reaches reports whether the grant covers anything of the target.
func (g Grant) reaches(t store.Target) bool {
	for _, a := range g.Scope {
		if a.Target == t.ID || a.Target == t.Name {
			return true
		}
	}
	return false
}

// Grants knows what is granted. Both methods are safe for concurrent use.
type Grants interface {
	// Active returns the grant if it is in force at now. Otherwise the error is
	// store.ErrNotFound or store.ErrConflict.
	Active(tx *store.Tx, id string, now time.Time) (Grant, error)
	// Ended tells of grants that this process ended, once that is durable. It may
	// miss some, and closes the channel of who is behind: whoever needs all asks
	// Active from time to time.
	Ended() (ids <-chan string, cancel func())
}

// People knows who may act for the provider at present.
type People interface {
	// Standing returns the person of that id: signed up with the provider, with a
	// second factor, not removed. Otherwise the error is store.ErrNotFound.
	Standing(tx *store.Tx, id string) (access.Principal, error)
}

// Guests knows the addresses of customers' VMs, as their agents report them.
type Guests interface {
	// GuestAt returns the id of the VM that has the address, empty if none has.
	GuestAt(tx *store.Tx, addr netip.Addr) (vm string, err error)
}

// Config is what a Gateway stands on. All members are required but the one that
// says so.
type Config struct {
	Store     *store.Store
	Ledger    recording.Ledger
	Authority *sshca.Authority
	Recorder  *recording.Recorder
	Grants    Grants
	People    People
	Guests    Guests
	// Noticed, if set, is told within the transaction of the keys that
	// certificates are made for: they must never be seen on a customer's guest.
	Noticed func(tx *store.Tx, by access.Principal, fingerprint string, until time.Time) error
	// ProxyURL is where web consoles are reached; empty where they are not. Optional.
	ProxyURL string
	Now      func() time.Time
	Log      *slog.Logger
}

const (
	// pollEvery is how often grants of open sessions are asked for; it finds what
	// other servers have ended.
	pollEvery = 250 * time.Millisecond
	// blind is how long sessions go on while grants cannot be read.
	blind = 3 * time.Second
	// handshake bounds the time until somebody is let in.
	handshake = 20 * time.Second
	// maxConnections bounds what is open at a time, and maxStrangers those of it
	// that have not been let in yet.
	maxConnections = 2000
	maxStrangers   = 200
)

// Gateway lets people in. It is safe for concurrent use.
type Gateway struct {
	Config
	tickets  tickets
	consoles webSessions

	mu        sync.Mutex
	live      map[member]struct{} // guarded by mu
	strangers int                 // guarded by mu
}

// member is something that must end with its grant.
type member interface {
	grant() Grant
	// renew takes in the grant as it is now.
	renew(Grant)
	// reaches returns the id of its target.
	reaches() string
	// warn tells the user.
	warn(words string)
	// end closes it within a moment, with words for the user.
	end(words string)
	// warned returns how much time was left at the last warning, and sets it.
	warned(left time.Duration) (former time.Duration)
}

// New returns a gateway.
func New(c Config) *Gateway {
	return &Gateway{Config: c, live: map[member]struct{}{}}
}

// Serve lets people in at l until ctx ends; then it closes all sessions.
func (g *Gateway) Serve(ctx context.Context, l net.Listener) error {
	conf := g.serverConfig(ctx)
	stop := context.AfterFunc(ctx, func() { l.Close() })
	defer stop()
	var open sync.WaitGroup
	defer open.Wait()
	for {
		conn, err := l.Accept()
		if ctx.Err() != nil {
			g.Stop()
			return nil
		}
		if err != nil {
			if errors.Is(err, net.ErrClosed) {
				return err
			}
			g.Log.Warn("accept a connection", "error", err)
			select {
			case <-ctx.Done():
			case <-time.After(50 * time.Millisecond): // out of descriptors, most likely
			}
			continue
		}
		if !g.arrive() {
			conn.Close()
			continue
		}
		open.Go(func() { g.serve(ctx, conn, conf) })
	}
}

// arrive counts a connection that has not been let in yet.
func (g *Gateway) arrive() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.strangers >= maxStrangers || len(g.live) >= maxConnections {
		return false
	}
	g.strangers++
	return true
}

func (g *Gateway) arrived() {
	g.mu.Lock()
	g.strangers--
	g.mu.Unlock()
}

func (g *Gateway) enter(m member) {
	g.mu.Lock()
	g.live[m] = struct{}{}
	g.mu.Unlock()
}

func (g *Gateway) leave(m member) {
	g.mu.Lock()
	delete(g.live, m)
	g.mu.Unlock()
}

// members are those that are open now.
func (g *Gateway) members() []member {
	g.mu.Lock()
	defer g.mu.Unlock()
	out := make([]member, 0, len(g.live))
	for m := range g.live {
		out = append(out, m)
	}
	return out
}

// Stop ends everything that is open.
func (g *Gateway) Stop() { g.endAll(func(member) bool { return true }, "the gateway is being stopped") }

func (g *Gateway) endAll(which func(member) bool, words string) {
	for _, m := range g.members() {
		if which(m) {
			m.end(words)
		}
	}
}

// record appends one entry of its own.
func (g *Gateway) record(ctx context.Context, e ledger.Entry) {
	e.Time = g.Now()
	err := g.Store.Write(ctx, func(tx *store.Tx) error {
		_, err := g.Ledger.Append(tx, e)
		return err
	})
	if err != nil {
		g.Log.Error("record in the ledger", "action", e.Action, "subject", e.Subject, "error", err)
	}
}

// ciphers are those that processors have instructions for: chacha20-poly1305,
// which OpenSSH prefers, costs half of the throughput.
var ciphers = []string{ssh.CipherAES128GCM, ssh.CipherAES256GCM, ssh.CipherAES128CTR, ssh.CipherAES256CTR}
