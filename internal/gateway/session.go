package gateway

import (
	"context"
	"errors"
	"io"
	"sync"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/demarc/demarc/internal/recording"
	"github.com/demarc/demarc/internal/store"
)

// session is one session channel of a user.
type session struct {
	conn *conn

	mu  sync.Mutex
	ch  ssh.Channel          // guarded by mu; nil before the channel is accepted
	far ssh.Channel          // guarded by mu; the target's, once there is one
	rec *recording.Recording // guarded by mu; the same

	pty           []byte // payload of pty-req; nil without a terminal
	width, height int
}

// say shows words to the user, apart from what the target shows, and has them
// in the recording.
func (s *session) say(words string) {
	s.mu.Lock()
	ch, pty := s.ch, s.pty != nil
	s.mu.Unlock()
	s.mark("told the user: " + words)
	if ch == nil {
		return
	}
	line := "demarc: " + words + "\r\n"
	if pty {
		line = "\r\n" + line
	}
	io.WriteString(ch.Stderr(), line)
}

// mark puts words into the recording, if there is one.
func (s *session) mark(words string) {
	s.mu.Lock()
	rec := s.rec
	s.mu.Unlock()
	if rec != nil {
		rec.Mark(words)
	}
}

// serve answers the requests of the channel until it ends.
func (s *session) serve(ctx context.Context, nc ssh.NewChannel) {
	ch, requests, err := nc.Accept()
	if err != nil {
		return
	}
	defer ch.Close()
	s.mu.Lock()
	s.ch = ch
	s.mu.Unlock()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var running chan struct{} // closed when what runs on the target has ended
	for r := range requests {
		ok, start := s.request(ctx, r, running != nil)
		if start == nil {
			reply(r, ok)
			continue
		}
		running = make(chan struct{})
		go func() {
			defer close(running)
			start()
			// What comes after is for nobody.
			ch.Close()
		}()
	}
	// The user is gone: so is what runs for them.
	s.closeFar()
	cancel()
	if running != nil {
		<-running
	}
}

// request answers a request. Where it begins something on the target, start
// runs that until it ends, and replies to the request.
func (s *session) request(ctx context.Context, r *ssh.Request, running bool) (ok bool, start func()) {
	switch r.Type {
	case "pty-req":
		return !running && s.setTerminal(r.Payload), nil
	case "window-change":
		return s.resize(r.Payload), nil
	case "signal":
		return s.passOn(r), nil
	case "shell":
		if running {
			return false, nil
		}
		if s.pty == nil {
			return true, func() { s.dismiss(r, s.conn.refuse(ctx, "exec", "a shell without a terminal is refused: use ssh -t")) }
		}
		return true, func() { s.run(ctx, r, Shell, "a shell is not part of your grant") }
	case "exec":
		if running {
			return false, nil
		}
		return true, func() { s.run(ctx, r, Exec, "commands without a shell are not part of your grant") }
	case "subsystem":
		var name struct{ Name string }
		if running || ssh.Unmarshal(r.Payload, &name) != nil {
			return false, nil
		}
		if name.Name != "sftp" {
			return true, func() { s.dismiss(r, s.conn.refuse(ctx, "subsystem", "the subsystem "+clip(name.Name)+" is refused")) }
		}
		return true, func() { s.run(ctx, r, SFTP, "file transfer is not part of your grant") }
	case "auth-agent-req@openssh.com":
		return s.deny(ctx, "agent-forwarding", "agent forwarding is refused"), nil
	case "x11-req":
		return s.deny(ctx, "x11", "forwarding of X11 is refused"), nil
	case "env":
		// Clients send their language without being asked to, so it is no matter
		// for the ledger; the target does not get it.
		var v struct{ Name, Value string }
		if ssh.Unmarshal(r.Payload, &v) == nil {
			s.mark("not passed on: the environment variable " + clip(v.Name))
		}
		return false, nil
	}
	return s.deny(ctx, "request", "the request "+clip(r.Type)+" is refused"), nil
}

// deny refuses, and tells the user. It returns false.
func (s *session) deny(ctx context.Context, what, words string) bool {
	s.say(s.conn.refuse(ctx, what, words))
	return false
}

// run begins a shell, command or subsystem on the target and passes on what
// either side sends, until it has ended.
func (s *session) run(ctx context.Context, r *ssh.Request, kind, refusal string) {
	a := s.conn.admission()
	if !a.grant.allows(kind, a.target) {
		s.dismiss(r, s.conn.refuse(ctx, kind, refusal))
		return
	}
	rec, err := s.record(ctx, kind)
	if err != nil {
		s.conn.g.Log.Warn("no session without a recording", "grant", a.grant.ID, "error", err)
		s.dismiss(r, unrecordable(err))
		return
	}
	reason := "it ended on the target"
	defer func() { rec.Close(s.conn.why(reason)) }()
	far, farRequests, err := s.conn.target.session(ctx, s.conn, rec.ID)
	if err != nil {
		reason = wordsOf(err)
		s.conn.g.Log.Warn("target not reached", "target", a.target.Name, "error", err)
		s.dismiss(r, reason)
		return
	}
	defer far.Close()
	if err := s.begin(far, r); err != nil {
		reason = "the target refused it"
		s.dismiss(r, reason)
		return
	}
	s.mu.Lock()
	s.far = far
	s.mu.Unlock()
	reply(r, true)
	s.greet(a, kind)
	if why := s.pipe(ctx, rec, far, farRequests); why != "" {
		reason = why
	}
}

func reply(r *ssh.Request, ok bool) {
	if r.WantReply {
		r.Reply(ok, nil)
	}
}

// dismiss ends a channel whose request was refused. The request is answered as
// if it were not: clients drop words that come with a failed one.
func (s *session) dismiss(r *ssh.Request, words string) {
	reply(r, true)
	s.say(words)
	s.ch.SendRequest("exit-status", false, ssh.Marshal(struct{ Status uint32 }{1}))
}

func unrecordable(err error) string {
	if r, ok := errors.AsType[*refusal](err); ok {
		return r.words
	}
	return "the session cannot be recorded, so it cannot begin"
}

// record begins the recording, if the grant still stands.
func (s *session) record(ctx context.Context, kind string) (*recording.Recording, error) {
	c, a := s.conn, s.conn.admission()
	rec, err := c.g.Recorder.Start(ctx, recording.Meta{
		Tenant: a.grant.Tenant, Grant: a.grant.ID, Holder: a.who, Target: a.target, Kind: kind,
		Terminal: s.pty != nil, Width: s.width, Height: s.height,
		Permit: func(tx *store.Tx) error {
			_, err := c.g.admit(tx, a.grant.ID, a.who.ID, a.target.ID)
			return err
		},
	})
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	s.rec = rec
	s.mu.Unlock()
	return rec, nil
}

// begin asks the target for what the user asked for.
func (s *session) begin(far ssh.Channel, r *ssh.Request) error {
	if s.pty != nil {
		if ok, err := far.SendRequest("pty-req", true, s.pty); err != nil || !ok {
			return errors.New("no terminal")
		}
	}
	if ok, err := far.SendRequest(r.Type, true, r.Payload); err != nil || !ok {
		return errors.New("not begun")
	}
	return nil
}

// greet tells the user where they are.
func (s *session) greet(a admission, kind string) {
	if kind == Shell {
		io.WriteString(s.ch.Stderr(), "demarc: "+a.target.Name+" under grant "+a.grant.ID+" until "+
			a.grant.Until.UTC().Format("2006-01-02 15:04 UTC")+". This session is recorded.\r\n")
	}
	if kind == Exec {
		s.mark("a command was run without a terminal")
	}
	c := s.conn
	c.mu.Lock()
	notices := c.notices
	c.notices = nil
	c.mu.Unlock()
	for _, n := range notices {
		s.say(n)
	}
}

// closeFar ends what runs on the target.
func (s *session) closeFar() {
	s.mu.Lock()
	far := s.far
	s.mu.Unlock()
	if far != nil {
		far.Close()
	}
}

// linger is how long the end of what ran on the target is waited for, once it
// has said that nothing more is to come.
const linger = 2 * time.Second
