package ledger

import (
	"bytes"
	"errors"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"testing"

	"github.com/demarc/demarc/internal/ledger/bundle"
	"github.com/demarc/demarc/internal/store"
	"github.com/demarc/demarc/internal/store/storetest"
	witnessing "github.com/demarc/demarc/internal/witness"
)

// startWitness serves a witness of l, which must have a key.
func startWitness(t *testing.T, l *Log, name string) WitnessAddress {
	t.Helper()
	keys, err := l.Keys(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var vkeys []string
	for _, k := range keys {
		vkeys = append(vkeys, k.VKey)
	}
	w, err := witnessing.Open(witnessing.Config{Dir: t.TempDir(), Name: name, Logs: vkeys})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.Close() })
	srv := httptest.NewServer(w)
	t.Cleanup(srv.Close)
	return WitnessAddress{URL: srv.URL + "/", VKey: w.VKey()}
}

func witnesses(t *testing.T, l *Log, addresses ...WitnessAddress) *Witnesses {
	t.Helper()
	ws, err := NewWitnesses(l, http.DefaultClient, addresses)
	if err != nil {
		t.Fatal(err)
	}
	return ws
}

func mustCheckpoint(t testing.TB, l *Log) store.LedgerCheckpoint {
	t.Helper()
	c, err := l.Checkpoint(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// Two witnesses cosign as the ledger grows, also after the ledger has forgotten
// where they stand; a bundle then satisfies who asks for both.
//
//demarc:duty CLD.12.1.5/P-5.2b
func TestWitnessesCosign(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		l := open(t, s)
		mustCheckpoint(t, l)
		one, two := startWitness(t, l, "witness.test/one"), startWitness(t, l, "witness.test/two")
		ws := witnesses(t, l, one, two)
		for range 3 {
			add(t, l, some(300)...)
			mustCheckpoint(t, l)
			if err := ws.Cosign(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		for _, state := range ws.State() {
			if state.Size != 901 || state.At.IsZero() || state.Fault != "" {
				t.Errorf("state %+v", state)
			}
		}

		add(t, l, some(5)...)
		mustCheckpoint(t, l)
		restored := witnesses(t, l, one)
		if err := restored.Restore(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got := restored.State()[0].Size; got != 901 {
			t.Errorf("restored size is %d, want 901", got)
		}
		if err := restored.Cosign(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := witnesses(t, l, two).Cosign(t.Context()); err != nil { // learns from the 409
			t.Fatal(err)
		}
		if err := mustVerify(t, l).Err(); err != nil {
			t.Error(err)
		}

		add(t, l, some(5)...)
		mustCheckpoint(t, l) // not cosigned
		o := bundle.Options{Witnesses: []string{one.VKey, two.VKey}, Threshold: 2}
		r, err := bundle.Verify(bytes.NewReader(bundled(t, l, BundleOptions{Tenant: "t-1", Cosignatures: 2})), o)
		if err != nil {
			t.Fatal(err)
		}
		if r.Size != 906 {
			t.Errorf("the bundle is of size %d, want 906", r.Size)
		}
		if _, err := bundle.Verify(bytes.NewReader(bundled(t, l, BundleOptions{Tenant: "t-1"})), o); !errors.Is(err, bundle.ErrInvalid) {
			t.Errorf("a bundle without cosignatures: %v", err)
		}
	})
}

// A ledger that is put back to an earlier state, and goes on from there, is found
// out by its witness.
func TestWitnessContradictsARolledBackLedger(t *testing.T) {
	dsn := storetest.SQLite(t)
	s := storetest.Open(t, dsn)
	l := open(t, s)
	add(t, l, some(10)...)
	mustCheckpoint(t, l)

	back := filepath.Join(t.TempDir(), "back.db")
	if _, err := raw(t, dsn).Exec("VACUUM INTO ?", back); err != nil {
		t.Fatal(err)
	}

	address := startWitness(t, l, "witness.test/w")
	add(t, l, some(10)...)
	mustCheckpoint(t, l)
	if err := witnesses(t, l, address).Cosign(t.Context()); err != nil {
		t.Fatal(err)
	}

	old := open(t, storetest.Open(t, "sqlite://"+back))
	ws := witnesses(t, old, address)
	mustCheckpoint(t, old)
	if err := ws.Cosign(t.Context()); !errors.Is(err, ErrContradicted) {
		t.Errorf("rolled back: %v", err)
	}
	add(t, old, some(30)...)
	mustCheckpoint(t, old)
	if err := ws.Cosign(t.Context()); !errors.Is(err, ErrContradicted) {
		t.Errorf("forked: %v", err)
	}
	if state := ws.State()[0]; !state.Contradicted || state.Fault == "" {
		t.Errorf("state %+v", state)
	}
}

func TestFaultyWitnesses(t *testing.T) {
	l := open(t, storetest.Open(t, storetest.SQLite(t)))
	mustCheckpoint(t, l)
	good := startWitness(t, l, "witness.test/good")
	for name, handler := range map[string]http.HandlerFunc{
		"fails":            func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(500) },
		"signs nothing":    func(http.ResponseWriter, *http.Request) {},
		"signs otherwise":  func(w http.ResponseWriter, _ *http.Request) { w.Write([]byte("— witness.test/good AAAAAAAA\n")) },
		"conflicts always": func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(409); w.Write([]byte("1\n")) },
		"no size":          func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(409); w.Write([]byte("x")) },
	} {
		srv := httptest.NewServer(handler)
		ws := witnesses(t, l, WitnessAddress{URL: srv.URL, VKey: good.VKey})
		if err := ws.Cosign(t.Context()); err == nil || ws.State()[0].Fault == "" {
			t.Errorf("a witness that %s: error %v, state %+v", name, err, ws.State()[0])
		}
		srv.Close()
		if err := ws.round(t.Context(), false); err != nil {
			t.Errorf("a witness that %s was not left alone: %v", name, err)
		}
	}
	if err := mustVerify(t, l).Err(); err != nil {
		t.Error(err)
	}
	for _, a := range []WitnessAddress{{URL: "witness", VKey: good.VKey}, {URL: "ftp://x", VKey: good.VKey}, {URL: good.URL, VKey: "x"}} {
		if _, err := NewWitnesses(l, http.DefaultClient, []WitnessAddress{a}); err == nil {
			t.Errorf("%v was accepted", a)
		}
	}
}
