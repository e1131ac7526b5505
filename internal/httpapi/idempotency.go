package httpapi

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/demarc/demarc/internal/store"
)

// Times of idempotency keys.
const (
	// answersKept is how long an answer can be asked for again.
	answersKept = 24 * time.Hour
	// answering is how long a request may be under way: a key whose server
	// died meanwhile can be used again after it.
	answering = 3 * time.Minute
)

// idempotent answers a POST that repeats an Idempotency-Key with the answer
// that was given before, and refuses one that comes while the first is still
// being answered. Answers are kept sealed for a day: some hold a token that is
// shown once.
func (a *API) idempotent(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		key := r.Header.Get("Idempotency-Key")
		p := PrincipalOf(r.Context())
		if r.Method != http.MethodPost || key == "" || p.ID == "" {
			next.ServeHTTP(w, r)
			return
		}
		if len(key) > 200 {
			writeProblem(w, huma.Error422UnprocessableEntity("an Idempotency-Key has at most 200 characters"))
			return
		}
		raw, err := io.ReadAll(http.MaxBytesReader(w, r.Body, MaxBodyBytes))
		if err != nil {
			writeProblem(w, huma.NewError(http.StatusRequestEntityTooLarge, "the body is too large"))
			return
		}
		r.Body = io.NopCloser(bytes.NewReader(raw))
		// Whoever may do less than before must not get an answer of before.
		may := fmt.Sprint(p.Role, p.Tenant, p.MFA, p.Scope != nil, p.Scope)
		sum := sha256.Sum256([]byte(r.Method + "\n" + r.URL.RequestURI() + "\n" + may + "\n" + string(raw)))
		k := idempotencyKey{p.ID, key, hex.EncodeToString(sum[:])}
		if a.repeat(w, r, k) {
			return
		}
		rec := &recorder{header: w.Header()}
		// Not under the request's context: who is gone before the answer comes
		// is just who asks again.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), 30*time.Second)
		defer cancel()
		defer func() { a.keep(ctx, k, rec) }()
		next.ServeHTTP(rec, r)
		if rec.status == 0 {
			rec.status = http.StatusOK
		}
		w.WriteHeader(rec.status)
		w.Write(rec.body.Bytes())
	})
}

// idempotencyKey is a principal's key and the digest of the request.
type idempotencyKey struct{ principal, key, request string }

func (k idempotencyKey) sealing() string { return "answer/" + k.principal + "/" + k.key }

// repeat answers from the kept answer; false if there is none, and then the
// key is claimed for this request.
func (a *API) repeat(w http.ResponseWriter, r *http.Request, k idempotencyKey) bool {
	var ans store.Answer
	now := a.cfg.Now()
	err := a.cfg.Store.Write(r.Context(), func(tx *store.Tx) (err error) {
		if err = tx.ReleaseKey(k.principal, k.key, now.Add(-answering)); err != nil {
			return err
		}
		if ans, err = tx.Answered(k.principal, k.key); !errors.Is(err, store.ErrNotFound) {
			return err
		}
		ans = store.Answer{}
		return tx.ClaimKey(k.principal, k.key, k.request, now)
	})
	switch {
	case errors.Is(err, store.ErrConflict): // another server was faster
		a.underWay(w)
	case err != nil:
		writeProblem(w, a.problem(r.Context(), err))
	case ans.Request == "":
		return false
	case ans.Request != k.request:
		writeProblem(w, huma.Error422UnprocessableEntity("this Idempotency-Key was used for another request; use a new one"))
	case ans.Status == 0:
		a.underWay(w)
	default:
		a.replay(w, r, k, ans)
	}
	return true
}

func (a *API) underWay(w http.ResponseWriter) {
	w.Header().Set("Retry-After", "1")
	writeProblem(w, huma.Error409Conflict("the first request with this Idempotency-Key is still being answered; repeat it in a moment"))
}

func (a *API) replay(w http.ResponseWriter, r *http.Request, k idempotencyKey, ans store.Answer) {
	plain, err := a.cfg.Keys.Open(ans.Response, k.sealing())
	if err != nil {
		writeProblem(w, a.problem(r.Context(), err))
		return
	}
	contentType, rest, _ := strings.Cut(string(plain), "\n")
	etag, text, _ := strings.Cut(rest, "\n")
	w.Header().Set("Content-Type", contentType)
	if etag != "" {
		w.Header().Set("ETag", etag)
	}
	w.Header().Set("Idempotency-Replayed", "true")
	w.WriteHeader(ans.Status)
	io.WriteString(w, text)
}

// keep stores the answer, or gives the key free where the server failed: the
// request may be repeated then. When keeping fails the act has still been
// done, and the caller gets the answer.
func (a *API) keep(ctx context.Context, k idempotencyKey, rec *recorder) {
	err := a.cfg.Store.Write(ctx, func(tx *store.Tx) error {
		if rec.status == 0 || rec.status >= 500 {
			return tx.ReleaseKey(k.principal, k.key, a.cfg.Now())
		}
		sealed, err := a.cfg.Keys.Seal([]byte(rec.header.Get("Content-Type")+"\n"+rec.header.Get("ETag")+"\n"+rec.body.String()), k.sealing())
		if err != nil {
			return err
		}
		return tx.KeepAnswer(k.principal, k.key, store.Answer{Request: k.request, Status: rec.status, Response: sealed})
	})
	if err != nil {
		a.cfg.Log.WarnContext(ctx, "the answer to an idempotency key is not kept", "error", err)
	}
}

// Run forgets kept answers when their day is over, until ctx ends.
func (a *API) Run(ctx context.Context) error {
	tick := time.NewTicker(time.Hour)
	defer tick.Stop()
	for {
		err := a.cfg.Store.Write(ctx, func(tx *store.Tx) error { return tx.ForgetAnswers(a.cfg.Now().Add(-answersKept)) })
		if err != nil && ctx.Err() == nil {
			a.cfg.Log.WarnContext(ctx, "forget the answers to idempotency keys", "error", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// recorder holds a response back until it is kept.
type recorder struct {
	header http.Header
	status int // 0 until the handler wrote something, as after a panic
	body   bytes.Buffer
}

// Header implements http.ResponseWriter.
func (r *recorder) Header() http.Header { return r.header }

// WriteHeader implements http.ResponseWriter.
func (r *recorder) WriteHeader(status int) { r.status = status }

// Write implements http.ResponseWriter.
func (r *recorder) Write(b []byte) (int, error) {
	if r.status == 0 {
		r.status = http.StatusOK
	}
	return r.body.Write(b)
}
