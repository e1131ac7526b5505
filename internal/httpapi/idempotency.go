package httpapi

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"net/http"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"github.com/demarc/demarc/internal/store"
)

// idempotent answers a POST that repeats an Idempotency-Key with the answer
// that was given before. Answers are kept sealed for a day: some hold a token
// that is shown once.
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
		sum := sha256.Sum256([]byte(r.Method + "\n" + r.URL.RequestURI() + "\n" + string(raw)))
		request := hex.EncodeToString(sum[:])
		if a.repeat(w, r, p.ID, key, request) {
			return
		}
		rec := &recorder{header: w.Header(), status: http.StatusOK}
		next.ServeHTTP(rec, r)
		if rec.status < 500 {
			a.keep(r, p.ID, key, request, rec)
		}
		w.WriteHeader(rec.status)
		w.Write(rec.body.Bytes())
	})
}

// repeat answers from the kept answer, if there is one.
func (a *API) repeat(w http.ResponseWriter, r *http.Request, principal, key, request string) bool {
	var ans store.Answer
	err := a.cfg.Store.Read(r.Context(), func(tx *store.Tx) (err error) {
		ans, err = tx.Answered(principal, key)
		return err
	})
	if errors.Is(err, store.ErrNotFound) {
		return false
	}
	if err != nil {
		writeProblem(w, a.problem(r.Context(), err))
		return true
	}
	if ans.Request != request {
		writeProblem(w, huma.Error422UnprocessableEntity("this Idempotency-Key was used for another request; use a new one"))
		return true
	}
	plain, err := a.cfg.Keys.Open(ans.Response, "answer/"+principal+"/"+key)
	if err != nil {
		writeProblem(w, a.problem(r.Context(), err))
		return true
	}
	contentType, text, _ := strings.Cut(string(plain), "\n")
	w.Header().Set("Content-Type", contentType)
	w.Header().Set("Idempotency-Replayed", "true")
	w.WriteHeader(ans.Status)
	io.WriteString(w, text)
	return true
}

// keep stores the answer. When that fails the act has still been done: the
// caller gets the answer, and a repetition is refused by the state itself.
func (a *API) keep(r *http.Request, principal, key, request string, rec *recorder) {
	sealed, err := a.cfg.Keys.Seal([]byte(rec.header.Get("Content-Type")+"\n"+rec.body.String()), "answer/"+principal+"/"+key)
	if err == nil {
		err = a.cfg.Store.Write(r.Context(), func(tx *store.Tx) error {
			return tx.KeepAnswer(principal, key, store.Answer{Request: request, Status: rec.status, Response: sealed}, a.cfg.Now())
		})
	}
	if err != nil && !errors.Is(err, store.ErrConflict) {
		a.cfg.Log.WarnContext(r.Context(), "the answer to an idempotency key is not kept", "error", err)
	}
}

// recorder holds a response back until it is kept.
type recorder struct {
	header http.Header
	status int
	body   bytes.Buffer
}

// Header implements http.ResponseWriter.
func (r *recorder) Header() http.Header { return r.header }

// WriteHeader implements http.ResponseWriter.
func (r *recorder) WriteHeader(status int) { r.status = status }

// Write implements http.ResponseWriter.
func (r *recorder) Write(b []byte) (int, error) { return r.body.Write(b) }
