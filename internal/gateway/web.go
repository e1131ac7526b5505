package gateway

import (
	"context"
	"crypto/sha256"
	_ "embed"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/demarc/demarc/internal/recording"
	"github.com/demarc/demarc/internal/store"
)

const (
	// consoleCookie names the session of a web console. The target never sees it.
	consoleCookie = "demarc_console"
	// ownPaths are the proxy's own; the rest is the target's.
	ownPaths = "/.demarc/"
	openPath = ownPaths + "open"
	// idle is how long a web session goes on without a request.
	idle = 30 * time.Minute
)

//go:embed open.html
var openPage []byte

//go:embed open.js
var openScript []byte

// Proxy returns the handler of web consoles. It has an origin of its own: what
// runs in a console's pages must not reach demarc's. A browser has one console
// open at a time; opening another ends its cookie.
func (g *Gateway) Proxy(secure bool) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+openPath, func(w http.ResponseWriter, _ *http.Request) { own(w, "text/html; charset=utf-8", openPage) })
	mux.HandleFunc("GET "+openPath+".js", func(w http.ResponseWriter, _ *http.Request) {
		own(w, "text/javascript; charset=utf-8", openScript)
	})
	mux.HandleFunc("POST "+openPath, func(w http.ResponseWriter, r *http.Request) { g.openConsole(w, r, secure) })
	mux.HandleFunc(ownPaths, func(w http.ResponseWriter, _ *http.Request) { say(w, http.StatusNotFound, "there is nothing here") })
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case !strings.HasPrefix(r.RequestURI, "/") || strings.ContainsAny(r.RequestURI, "\\\x00") || r.Method == http.MethodConnect || r.Method == http.MethodTrace:
			say(w, http.StatusBadRequest, "requests name a path of this host, and nothing else")
		case strings.HasPrefix(r.URL.Path, ownPaths):
			mux.ServeHTTP(w, r)
		default:
			g.proxy(w, r)
		}
	})
}

// own answers with a page of the proxy's own.
func own(w http.ResponseWriter, kind string, body []byte) {
	h := w.Header()
	h.Set("Content-Type", kind)
	h.Set("Content-Security-Policy", "default-src 'none'; script-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cache-Control", "no-store")
	w.Write(body)
}

// say answers with words.
func say(w http.ResponseWriter, status int, words string) {
	h := w.Header()
	h.Set("Content-Type", "text/plain; charset=utf-8")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	w.Write([]byte("demarc: " + words + "\n"))
}

// webSession is a web console that somebody has open. It is a member.
type webSession struct {
	g      *Gateway
	key    [sha256.Size]byte // of the cookie
	rec    *recording.Recording
	way    http.RoundTripper
	close  func() // of way
	ctx    context.Context
	cancel context.CancelFunc

	mu       sync.Mutex
	admitted admission     // guarded by mu
	told     time.Duration // guarded by mu
	used     time.Time     // guarded by mu
	once     sync.Once
}

// webSessions are the open ones by their cookie's digest.
type webSessions struct {
	mu  sync.Mutex
	all map[[sha256.Size]byte]*webSession // guarded by mu
}

func (s *webSessions) put(x *webSession) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.all == nil {
		s.all = map[[sha256.Size]byte]*webSession{}
	}
	s.all[x.key] = x
}

func (s *webSessions) drop(x *webSession) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.all, x.key)
}

// of returns the session of a request's cookie.
func (s *webSessions) of(r *http.Request) *webSession {
	c, err := r.Cookie(consoleCookie)
	if err != nil {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.all[sha256.Sum256([]byte(c.Value))]
}

func (s *webSession) admission() admission {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.admitted
}

// grant implements member.
func (s *webSession) grant() Grant { return s.admission().grant }

// renew implements member. It also ends a session that nobody uses.
func (s *webSession) renew(g Grant) {
	s.mu.Lock()
	s.admitted.grant = g
	unused := time.Since(s.used)
	s.mu.Unlock()
	if unused > idle {
		s.end("it was not used for half an hour")
	}
}

// reaches implements member.
func (s *webSession) reaches() string { return s.admission().target.ID }

// warned implements member.
func (s *webSession) warned(left time.Duration) (former time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	former = s.told
	if former == 0 || left < former {
		s.told = left
	}
	return former
}

// warn implements member. A console has no place of ours to show it.
func (s *webSession) warn(string) {}

// end implements member: requests under way are cut, WebSockets too.
func (s *webSession) end(words string) {
	s.once.Do(func() {
		s.cancel()
		s.g.consoles.drop(s)
		s.close()
		go func() {
			s.rec.Close(words)
			s.g.leave(s)
		}()
	})
}

// openConsole takes a ticket and begins a session.
func (g *Gateway) openConsole(w http.ResponseWriter, r *http.Request, secure bool) {
	if r.Header.Get("Sec-Fetch-Site") != "same-origin" {
		say(w, http.StatusForbidden, "tickets are taken from the proxy's own page only")
		return
	}
	r.Body = http.MaxBytesReader(w, r.Body, 4<<10)
	t, ok := g.tickets.take(r.PostFormValue("ticket"), g.Now())
	if !ok {
		say(w, http.StatusForbidden, "the ticket is used up or too old: make another with `demarc access console`")
		return
	}
	s, cookie, err := g.beginConsole(r.Context(), t)
	if err != nil {
		g.Log.Warn("open a web console", "grant", t.grant, "error", err)
		say(w, http.StatusForbidden, unrecordable(err))
		return
	}
	if former := g.consoles.of(r); former != nil {
		former.end("another console was opened in the same browser")
	}
	for _, c := range r.Cookies() { // those of the former console
		http.SetCookie(w, &http.Cookie{Name: c.Name, Path: "/", MaxAge: -1})
	}
	http.SetCookie(w, &http.Cookie{Name: consoleCookie, Value: cookie, Path: "/", HttpOnly: true, Secure: secure, SameSite: http.SameSiteLaxMode})
	w.Header().Set("Clear-Site-Data", `"cache", "storage"`)
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Write([]byte(startOf(s.admission().target)))
}

// beginConsole begins the recording and makes the way to the target.
func (g *Gateway) beginConsole(ctx context.Context, t ticket) (*webSession, string, error) {
	var a admission
	permit := func(tx *store.Tx) (err error) {
		if a, err = g.admit(tx, t.grant, t.principal, t.target); err == nil && !a.grant.allows(Console, a.target) {
			err = refuse("the console is not part of your grant")
		}
		return err
	}
	if err := g.Store.Read(ctx, permit); err != nil {
		return nil, "", err
	}
	way, closeWay, err := g.wayTo(a.target)
	if err != nil {
		return nil, "", err
	}
	rec, err := g.Recorder.Start(ctx, recording.Meta{
		Tenant: a.grant.Tenant, Grant: a.grant.ID, Holder: a.who, Target: a.target, Kind: "web", Width: 120, Height: 40, Permit: permit,
	})
	if err != nil {
		return nil, "", err
	}
	cookie := secret()
	s := &webSession{g: g, key: sha256.Sum256([]byte(cookie)), rec: rec, way: way, close: closeWay, admitted: a, used: time.Now()}
	s.ctx, s.cancel = context.WithCancel(context.WithoutCancel(ctx))
	g.consoles.put(s)
	g.enter(s) // the watch ends it if the grant ended meanwhile
	go func() {
		select {
		case <-rec.Failed():
			s.end(rec.Err().Error())
		case <-s.ctx.Done():
		}
	}()
	return s, cookie, nil
}
