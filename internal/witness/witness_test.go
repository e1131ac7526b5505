package witness

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"filippo.io/torchwood"
	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// ledger is a log that signs what it is told to.
type ledger struct {
	signer note.Signer
	vkey   string
	stored hashes
}

type hashes []tlog.Hash

func (h hashes) ReadHashes(indexes []int64) ([]tlog.Hash, error) {
	found := make([]tlog.Hash, len(indexes))
	for i, x := range indexes {
		found[i] = h[x]
	}
	return found, nil
}

// newLedger has size entries, which differ by seed.
func newLedger(t testing.TB, origin, seed string, size int64) *ledger {
	t.Helper()
	skey, vkey, err := note.GenerateKey(rand.Reader, origin)
	if err != nil {
		t.Fatal(err)
	}
	s, err := note.NewSigner(skey)
	if err != nil {
		t.Fatal(err)
	}
	l := &ledger{signer: s, vkey: vkey}
	for i := range size {
		more, err := tlog.StoredHashes(i, fmt.Appendf(nil, "%s %d", seed, i), l.stored)
		if err != nil {
			t.Fatal(err)
		}
		l.stored = append(l.stored, more...)
	}
	return l
}

func (l *ledger) checkpoint(t testing.TB, size int64, signers ...note.Signer) string {
	t.Helper()
	root, err := tlog.TreeHash(size, l.stored)
	if err != nil {
		t.Fatal(err)
	}
	c := torchwood.Checkpoint{Origin: l.signer.Name(), Tree: tlog.Tree{N: size, Hash: root}}
	if len(signers) == 0 {
		signers = []note.Signer{l.signer}
	}
	signed, err := note.Sign(&note.Note{Text: c.String()}, signers...)
	if err != nil {
		t.Fatal(err)
	}
	return string(signed)
}

func (l *ledger) proof(t testing.TB, old, size int64) string {
	t.Helper()
	if old == 0 || old == size {
		return ""
	}
	p, err := tlog.ProveTree(size, old, l.stored)
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	for _, h := range p {
		fmt.Fprintln(&b, base64.StdEncoding.EncodeToString(h[:]))
	}
	return b.String()
}

// request is a correct one.
func (l *ledger) request(t testing.TB, old, size int64) string {
	return fmt.Sprintf("old %d\n%s\n%s", old, l.proof(t, old, size), l.checkpoint(t, size))
}

func open(t testing.TB, dir string, logs ...string) *Witness {
	t.Helper()
	w, err := Open(Config{Dir: dir, Name: "witness.test/w1", Logs: logs})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.Close() })
	return w
}

func post(t testing.TB, h http.Handler, body string) *httptest.ResponseRecorder {
	t.Helper()
	rec := httptest.NewRecorder()
	h.ServeHTTP(rec, httptest.NewRequest(http.MethodPost, "/add-checkpoint", strings.NewReader(body)))
	return rec
}

// Each answer is the one that C2SP tlog-witness demands.
func TestAddCheckpoint(t *testing.T) {
	l := newLedger(t, "demarc/one", "a", 40)
	fork := newLedger(t, "demarc/one", "b", 40)
	fork.signer = l.signer // the provider's own key signs another history
	stranger := newLedger(t, "demarc/other", "a", 40)
	impostor := newLedger(t, "demarc/one", "a", 40)
	w := open(t, t.TempDir(), l.vkey)
	v, err := torchwood.NewCosignatureVerifier(w.VKey())
	if err != nil {
		t.Fatal(err)
	}
	forged := strings.Replace(l.request(t, 10, 20), "\n20\n", "\n21\n", 1)
	for _, c := range []struct {
		name, body string
		status     int
		size       string // with 409
	}{
		{"empty", "", 400, ""},
		{"no checkpoint", "old 0\n", 400, ""},
		{"first must be old", "new 0\n\n" + l.checkpoint(t, 10), 400, ""},
		{"leading zero", "old 00\n\n" + l.checkpoint(t, 10), 400, ""},
		{"negative", "old -1\n\n" + l.checkpoint(t, 10), 400, ""},
		{"too long a proof", "old 0\n" + strings.Repeat(strings.Repeat("A", 43)+"=\n", 64) + "\n" + l.checkpoint(t, 10), 400, ""},
		{"proof not base64", "old 0\n!\n\n" + l.checkpoint(t, 10), 400, ""},
		{"unknown ledger", stranger.request(t, 0, 10), 404, ""},
		{"key of another", impostor.request(t, 0, 10), 403, ""},
		{"changed after signing", forged, 403, ""},
		{"proof from nothing", "old 0\n" + l.proof(t, 5, 10) + "\n" + l.checkpoint(t, 10), 422, ""},
		{"from a tree never seen", l.request(t, 5, 10), 409, "0\n"},
		{"first", l.request(t, 0, 10), 200, ""},
		{"again", l.request(t, 10, 10), 200, ""},
		{"old is not the last", l.request(t, 5, 20), 409, "10\n"},
		{"rollback", l.request(t, 0, 5), 409, "10\n"},
		{"old greater than new", "old 10\n\n" + l.checkpoint(t, 5), 400, ""},
		{"no proof", "old 10\n\n" + l.checkpoint(t, 20), 422, ""},
		{"wrong proof", "old 10\n" + l.proof(t, 9, 20) + "\n" + l.checkpoint(t, 20), 422, ""},
		{"fork", fork.request(t, 10, 20), 422, ""},
		{"fork of the same size", fork.request(t, 10, 10), 422, ""},
		{"growth", l.request(t, 10, 40), 200, ""},
	} {
		rec := post(t, w, c.body)
		if rec.Code != c.status {
			t.Errorf("%s: status %d (%s), want %d", c.name, rec.Code, strings.TrimSpace(rec.Body.String()), c.status)
			continue
		}
		switch c.status {
		case 409:
			if got := rec.Body.String(); got != c.size || rec.Header().Get("Content-Type") != "text/x.tlog.size" {
				t.Errorf("%s: body %q of type %q, want %q", c.name, got, rec.Header().Get("Content-Type"), c.size)
			}
		case 200:
			_, signed, _ := strings.Cut(c.body, "\n\n")
			n, err := note.Open([]byte(signed+rec.Body.String()), note.VerifierList(v))
			if err != nil || len(n.Sigs) != 1 {
				t.Errorf("%s: the cosignature does not verify: %v", c.name, err)
			}
		}
	}

	rec := httptest.NewRecorder()
	w.ServeHTTP(rec, httptest.NewRequest(http.MethodGet, "/"+originHash("demarc/one")+"/checkpoint", nil))
	logKey, err := note.NewVerifier(l.vkey)
	if err != nil {
		t.Fatal(err)
	}
	n, err := note.Open(rec.Body.Bytes(), note.VerifierList(v, logKey))
	if err != nil || len(n.Sigs) != 2 || !strings.Contains(n.Text, "\n40\n") {
		t.Errorf("published checkpoint %q: %v", rec.Body, err)
	}
}

func TestOtherRequests(t *testing.T) {
	l := newLedger(t, "demarc/one", "a", 4)
	w := open(t, t.TempDir(), l.vkey)
	for _, c := range []struct {
		method, path string
		body         string
		status       int
	}{
		{"GET", "/add-checkpoint", "", 405}, {"GET", "/", "", 404}, {"GET", "/x/checkpoint", "", 404}, {"POST", "/x/checkpoint", "", 405},
		{"GET", "/" + originHash("demarc/one") + "/checkpoint", "", 404},
		{"POST", "/add-checkpoint", strings.Repeat("x", maxRequest+1), 400},
	} {
		rec := httptest.NewRecorder()
		w.ServeHTTP(rec, httptest.NewRequest(c.method, c.path, strings.NewReader(c.body)))
		if rec.Code != c.status {
			t.Errorf("%s %s: status %d, want %d", c.method, c.path, rec.Code, c.status)
		}
	}
}

// A witness that was restarted, in whatever moment, still refuses what it refused
// before, under the same key.
func TestRestartForgetsNothing(t *testing.T) {
	l := newLedger(t, "demarc/one", "a", 40)
	fork := newLedger(t, "demarc/one", "b", 40)
	fork.signer = l.signer
	dir := t.TempDir()
	w := open(t, dir, l.vkey)
	if rec := post(t, w, l.request(t, 0, 30)); rec.Code != 200 {
		t.Fatal(rec.Body)
	}
	if _, err := Open(Config{Dir: dir, Name: "witness.test/w1", Logs: []string{l.vkey}}); err == nil {
		t.Error("a second witness opened the same directory")
	}
	vkey := w.VKey()
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	// Killed while writing, it leaves a file that counts for nothing.
	if err := os.WriteFile(filepath.Join(dir, ".new-1"), []byte("half"), 0o600); err != nil {
		t.Fatal(err)
	}
	w = open(t, dir, l.vkey)
	if w.VKey() != vkey {
		t.Error("the key has changed")
	}
	for name, c := range map[string]struct {
		body   string
		status int
	}{"rollback": {l.request(t, 0, 20), 409}, "fork": {fork.request(t, 30, 40), 422}, "growth": {l.request(t, 30, 40), 200}} {
		if name == "growth" {
			continue // after the others
		}
		if rec := post(t, w, c.body); rec.Code != c.status {
			t.Errorf("%s: status %d, want %d", name, rec.Code, c.status)
		}
	}
	if rec := post(t, w, l.request(t, 30, 40)); rec.Code != 200 {
		t.Errorf("growth: status %d", rec.Code)
	}
}

// A damaged state is refused: taken for an empty one, it would let the ledger
// begin anew.
func TestDamagedStateIsRefused(t *testing.T) {
	l := newLedger(t, "demarc/one", "a", 40)
	dir := t.TempDir()
	w := open(t, dir, l.vkey)
	if rec := post(t, w, l.request(t, 0, 30)); rec.Code != 200 {
		t.Fatal(rec.Body)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{originHash("demarc/one") + ".checkpoint", "key"} {
		path := filepath.Join(dir, name)
		good, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for _, bad := range [][]byte{nil, good[:len(good)/2], bytes.Replace(good, []byte("3"), []byte("4"), 1), append(bytes.Clone(good), "— x y\n"...)} {
			if bytes.Equal(bad, good) {
				continue
			}
			if err := os.WriteFile(path, bad, 0o600); err != nil {
				t.Fatal(err)
			}
			if w, err := Open(Config{Dir: dir, Name: "witness.test/w1", Logs: []string{l.vkey}}); err == nil {
				t.Errorf("%s with %q was accepted", name, bad)
				w.Close()
			}
		}
		if err := os.WriteFile(path, good, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// Of many that race to lead the witness along different histories, one wins.
func TestRacingForks(t *testing.T) {
	l := newLedger(t, "demarc/one", "a", 10)
	w := open(t, t.TempDir(), l.vkey)
	var won sync.Map
	var racing sync.WaitGroup
	for i := range 16 {
		f := newLedger(t, "demarc/one", fmt.Sprint("fork", i), 10)
		f.signer = l.signer
		body := f.request(t, 0, 10)
		racing.Go(func() {
			if rec := post(t, w, body); rec.Code == 200 {
				won.Store(i, true)
			}
		})
	}
	racing.Wait()
	n := 0
	won.Range(func(any, any) bool { n++; return true })
	if n != 1 {
		t.Errorf("%d histories were cosigned", n)
	}
}

// A rotated key is accepted beside the old one when both are configured.
func TestRotatedKey(t *testing.T) {
	l := newLedger(t, "demarc/one", "a", 20)
	next := newLedger(t, "demarc/one", "a", 20)
	w := open(t, t.TempDir(), l.vkey, next.vkey)
	for _, c := range []struct {
		body string
	}{{l.request(t, 0, 5)}, {"old 5\n" + l.proof(t, 5, 9) + "\n" + l.checkpoint(t, 9, l.signer, next.signer)}, {next.request(t, 9, 20)}} {
		if rec := post(t, w, c.body); rec.Code != 200 {
			t.Errorf("status %d: %s", rec.Code, rec.Body)
		}
	}
}

func TestOpenRefuses(t *testing.T) {
	l := newLedger(t, "demarc/one", "a", 1)
	for name, c := range map[string]Config{
		"no name":       {Logs: []string{l.vkey}},
		"name of two":   {Name: "a b", Logs: []string{l.vkey}},
		"no ledger":     {Name: "w"},
		"malformed key": {Name: "w", Logs: []string{"demarc/one+x+y"}},
	} {
		c.Dir = t.TempDir()
		if w, err := Open(c); err == nil {
			t.Errorf("%s was accepted", name)
			w.Close()
		}
	}
}

func FuzzParseRequest(f *testing.F) {
	l := newLedger(f, "demarc/one", "a", 20)
	f.Add([]byte(l.request(f, 0, 10)))
	f.Add([]byte(l.request(f, 10, 20)))
	f.Add([]byte("old 18446744073709551616\n\nx\n"))
	f.Fuzz(func(t *testing.T, body []byte) {
		r, err := parseRequest(body)
		if err != nil {
			return
		}
		if r.old < 0 || len(r.proof) > maxProof || !bytes.HasSuffix(body, r.note) || strings.Contains(r.origin, "\n") {
			t.Errorf("%q was read as %+v", body, r)
		}
	})
}
