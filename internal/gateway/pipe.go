package gateway

import (
	"context"
	"errors"
	"io"
	"sync"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/demarc/demarc/internal/recording"
)

// pipe passes on what user and target send, recorded first, until the target
// has ended or the session must. It says why, if that was not the target.
func (s *session) pipe(ctx context.Context, rec *recording.Recording, far ssh.Channel, farRequests <-chan *ssh.Request) (why string) {
	ch := s.ch
	input, output := rec.Input, rec.Output
	if rec.Kind == SFTP {
		log := newSFTPLog(func(line string) error { return rec.Output([]byte(line + "\r\n")) })
		input, output = log.client, log.server
	}
	go func() {
		// The user's end of input is the target's.
		if !copyRecorded(far, ch, input) {
			far.Close()
		}
		far.CloseWrite()
	}()
	var shown sync.WaitGroup
	shown.Go(func() {
		if !copyRecorded(ch, far, output) {
			far.Close()
		}
	})
	shown.Go(func() { copyRecorded(ch.Stderr(), far.Stderr(), rec.Output) })
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		s.outcome(ch, farRequests)
	}()
	done := make(chan struct{})
	go func() {
		defer close(done)
		shown.Wait()
		select {
		case <-ended:
		case <-time.After(linger):
		}
	}()
	select {
	case <-done:
		return ""
	case <-rec.Failed():
		why = rec.Err().Error()
		far.Close()
		s.last(why)
		return why
	case <-ctx.Done():
		far.Close()
		return "the user left"
	}
}

// last shows last words to a user who may not be listening.
func (s *session) last(words string) {
	said := make(chan struct{})
	go func() {
		defer close(said)
		s.say(words)
	}()
	select {
	case <-said:
	case <-time.After(farewell):
	}
}

// copyRecorded copies from src to dst. It returns false where something could
// not be recorded, which is not passed on then, nor anything after it.
func copyRecorded(dst io.Writer, src io.Reader, record func([]byte) error) bool {
	buf := make([]byte, 32<<10)
	for {
		n, err := src.Read(buf)
		if n > 0 {
			if record(buf[:n]) != nil {
				return false
			}
			if _, err := dst.Write(buf[:n]); err != nil {
				return true
			}
		}
		if err != nil {
			return true
		}
	}
}

// outcome passes on how what ran has ended, and refuses all else that the
// target asks of the user's client.
func (s *session) outcome(ch ssh.Channel, requests <-chan *ssh.Request) {
	for r := range requests {
		switch r.Type {
		case "exit-status", "exit-signal":
			ch.SendRequest(r.Type, false, r.Payload)
		}
		if r.WantReply {
			r.Reply(false, nil)
		}
	}
}

// terminal is the payload of pty-req, RFC 4254 section 6.2.
type terminal struct {
	Term                      string
	Columns, Rows, XPix, YPix uint32
	Modes                     string
}

// size is the payload of window-change, RFC 4254 section 6.7.
type size struct{ Columns, Rows, XPix, YPix uint32 }

// maxSide bounds a terminal's size.
const maxSide = 10_000

func (s *session) setTerminal(payload []byte) bool {
	var t terminal
	if ssh.Unmarshal(payload, &t) != nil || len(t.Term) > 100 || t.Columns > maxSide || t.Rows > maxSide {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.pty, s.width, s.height = payload, int(t.Columns), int(t.Rows)
	if s.width == 0 || s.height == 0 {
		s.width, s.height = 80, 24
	}
	return true
}

func (s *session) resize(payload []byte) bool {
	var w size
	if ssh.Unmarshal(payload, &w) != nil || w.Columns > maxSide || w.Rows > maxSide {
		return false
	}
	far, rec, err := s.running()
	if err != nil || rec.Resize(int(w.Columns), int(w.Rows)) != nil {
		return false
	}
	_, err = far.SendRequest("window-change", false, payload)
	return err == nil
}

// passOn sends a signal to the target.
func (s *session) passOn(r *ssh.Request) bool {
	var sig struct{ Name string }
	far, rec, err := s.running()
	if err != nil || ssh.Unmarshal(r.Payload, &sig) != nil || rec.Mark("signal "+clip(sig.Name)) != nil {
		return false
	}
	_, err = far.SendRequest("signal", false, r.Payload)
	return err == nil
}

func (s *session) running() (ssh.Channel, *recording.Recording, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.far == nil || s.rec == nil {
		return nil, nil, errors.New("nothing runs")
	}
	return s.far, s.rec, nil
}
