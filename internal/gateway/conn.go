package gateway

import (
	"context"
	"net"
	"sync"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/demarc/demarc/internal/ledger"
)

const (
	// maxRefusals is how much a connection may ask for in vain before it ends.
	maxRefusals = 20
	// maxChannels bounds the sessions of one connection at a time.
	maxChannels = 10
	// farewell is how long the last words to a user may take, to be sent and to
	// arrive each.
	farewell = 100 * time.Millisecond
)

// conn is the connection of somebody who was let in. It is a member.
type conn struct {
	g      *Gateway
	ssh    *ssh.ServerConn
	raw    net.Conn
	cancel context.CancelFunc

	mu       sync.Mutex
	admitted admission         // guarded by mu
	told     time.Duration     // guarded by mu; see warned
	over     string            // guarded by mu; why it ends, once it does
	sessions map[*session]bool // guarded by mu
	notices  []string          // guarded by mu; for the first session to show
	refusals int               // guarded by mu
	closed   bool              // guarded by mu; no more sessions are taken

	target target // the connection to the target, made when the first session needs it
}

func (c *conn) setAdmission(a admission) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.admitted = a
}

func (c *conn) admission() admission {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.admitted
}

// grant implements member.
func (c *conn) grant() Grant { return c.admission().grant }

// renew implements member.
func (c *conn) renew(g Grant) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.admitted.grant = g
}

// reaches implements member.
func (c *conn) reaches() string { return c.admission().target.ID }

// warned implements member.
func (c *conn) warned(left time.Duration) (former time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	former = c.told
	if former == 0 || left < former {
		c.told = left
	}
	return former
}

// warn implements member.
func (c *conn) warn(words string) {
	for _, s := range c.open() {
		go s.say(words)
	}
}

// end implements member. The words go first, since the target's end closes the
// user's channels; a user who does not read them is not waited for.
func (c *conn) end(words string) {
	c.mu.Lock()
	if c.over != "" {
		c.mu.Unlock()
		return
	}
	c.over = words
	c.mu.Unlock()
	go func() {
		var said sync.WaitGroup
		for _, s := range c.open() {
			said.Go(func() { s.say(words) })
		}
		heard := make(chan struct{})
		go func() { said.Wait(); close(heard) }()
		select {
		case <-heard:
		case <-time.After(farewell):
		}
		c.target.close()
		time.Sleep(farewell) // the words are on their way
		c.cancel()
		c.ssh.Close()
		c.raw.Close()
	}()
}

// why says why the connection ended.
func (c *conn) why(otherwise string) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.over != "" {
		return c.over
	}
	return otherwise
}

func (c *conn) open() []*session {
	c.mu.Lock()
	defer c.mu.Unlock()
	out := make([]*session, 0, len(c.sessions))
	for s := range c.sessions {
		out = append(out, s)
	}
	return out
}

// serve serves channels and requests until the connection ends.
func (c *conn) serve(ctx context.Context, channels <-chan ssh.NewChannel, requests <-chan *ssh.Request) {
	c.sessions = map[*session]bool{}
	defer c.target.close()
	go c.globalRequests(ctx, requests)
	var running sync.WaitGroup
	defer running.Wait()
	defer c.cancel()
	for nc := range channels {
		switch nc.ChannelType() {
		case "session":
			s, why := c.begin()
			if s == nil {
				nc.Reject(ssh.Prohibited, why)
				continue
			}
			running.Go(func() {
				defer c.finish(s)
				s.serve(ctx, nc)
			})
		case "direct-tcpip":
			if !c.grant().allows(Forward, c.admission().target) {
				nc.Reject(ssh.Prohibited, c.refuse(ctx, "forwarding", "port forwarding is not part of your grant"))
				continue
			}
			running.Go(func() { c.forward(ctx, nc) })
		default:
			nc.Reject(ssh.Prohibited, c.refuse(ctx, "channel", "channels of type "+clip(nc.ChannelType())+" are refused"))
		}
	}
}

// begin makes room for a session; if it cannot, the session is nil.
func (c *conn) begin() (s *session, why string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.closed:
		return nil, "you asked for no more sessions"
	case len(c.sessions) >= maxChannels:
		return nil, "too many sessions on one connection"
	}
	s = &session{conn: c}
	c.sessions[s] = true
	return s, ""
}

func (c *conn) finish(s *session) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.sessions, s)
}

// globalRequests answers requests about the connection as a whole.
func (c *conn) globalRequests(ctx context.Context, requests <-chan *ssh.Request) {
	for r := range requests {
		switch r.Type {
		case "keepalive@openssh.com":
		case "no-more-sessions@openssh.com":
			c.mu.Lock()
			c.closed = true
			c.mu.Unlock()
		case "tcpip-forward", "streamlocal-forward@openssh.com":
			c.notice(c.refuse(ctx, "forwarding", "forwarding of remote ports is refused"))
		case "cancel-tcpip-forward", "cancel-streamlocal-forward@openssh.com", "hostkeys-prove-00@openssh.com":
		default:
			c.refuse(ctx, "request", "the request "+clip(r.Type)+" is refused")
		}
		if r.WantReply {
			r.Reply(false, nil)
		}
	}
}

// notice says something to the user now or with the next session.
func (c *conn) notice(words string) {
	open := c.open()
	if len(open) == 0 {
		c.mu.Lock()
		c.notices = append(c.notices, words)
		c.mu.Unlock()
	}
	for _, s := range open {
		go s.say(words)
	}
}

// refuse records that something was asked for in vain, and returns the words
// for it. Who asks for too much loses the connection.
func (c *conn) refuse(ctx context.Context, what, words string) string {
	c.mu.Lock()
	c.refusals++
	n := c.refusals
	a := c.admitted
	c.mu.Unlock()
	c.g.record(ctx, ledger.Entry{Tenant: a.grant.Tenant, Actor: a.who.Actor(), Action: "session.refuse." + what, Subject: "grant/" + a.grant.ID})
	for _, s := range c.open() {
		s.mark("refused: " + words)
	}
	if n >= maxRefusals {
		c.end("too much was asked for that your grant does not allow")
	}
	return words
}
