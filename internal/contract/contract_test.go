package contract_test

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/demarc/demarc/internal/access"
	"github.com/demarc/demarc/internal/contract"
	"github.com/demarc/demarc/internal/evidence"
	"github.com/demarc/demarc/internal/ledger"
	"github.com/demarc/demarc/internal/matrix"
	"github.com/demarc/demarc/internal/responsibility"
	"github.com/demarc/demarc/internal/responsibility/builtin"
	"github.com/demarc/demarc/internal/service"
	"github.com/demarc/demarc/internal/service/all"
	"github.com/demarc/demarc/internal/store"
	"github.com/demarc/demarc/internal/store/storetest"
)

// notes keeps what was recorded; the ledger itself has its own tests.
type notes struct {
	mu  sync.Mutex
	all []ledger.Entry
}

func (n *notes) Append(_ *store.Tx, es ...ledger.Entry) (int64, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.all = append(n.all, es...)
	return 0, nil
}

type desk struct {
	*contract.Contract
	store *store.Store
	notes *notes
	now   time.Time
}

func (d *desk) open(t *testing.T) *contract.Contract {
	t.Helper()
	base, err := builtin.Catalogue()
	if err != nil {
		t.Fatal(err)
	}
	services := all.Services()
	var kinds []evidence.Kind
	for _, s := range services {
		kinds = append(kinds, s.Manifest().Kinds...)
	}
	for _, s := range services {
		if p, ok := s.(service.Preparer); ok {
			if err := p.Prepare(kinds); err != nil {
				t.Fatal(err)
			}
		}
	}
	c, err := contract.Open(t.Context(), d.store, d.notes, func() time.Time { return d.now }, base, services, nil)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func newDesk(t *testing.T) *desk {
	t.Helper()
	d := &desk{store: storetest.Open(t, storetest.SQLite(t)), notes: &notes{}, now: time.Date(2026, 3, 3, 12, 0, 0, 0, time.UTC)}
	d.Contract = d.open(t)
	return d
}

var by = access.Principal{ID: "p-1", Role: access.ProviderAdministrator}

// house is a catalogue of one control with n duties.
func house(name, version, control string, n int) []byte {
	var b strings.Builder
	fmt.Fprintf(&b, "name: %s\nversion: %s.0.0\ntitle: House rules\ncontrols:\n- id: %s\n  title: House\n  duties:\n", name, version, control)
	for i := range n {
		fmt.Fprintf(&b, "  - {id: %s/C-%d, title: State it., party: customer, scope: tenant, level: should, modes: [attested], evidence: A statement., attestation_for: 30d}\n", control, i+1)
	}
	return []byte(b.String())
}

func (d *desk) load(t *testing.T, name, version, control string, n int) {
	t.Helper()
	s, compiled, err := d.Load(t.Context(), by, name+".yaml", house(name, version, control, n))
	if err != nil {
		t.Fatal(err)
	}
	if !s.From.Equal(d.now) || compiled.Duty(fmt.Sprintf("%s/C-%d", control, n)) == nil {
		t.Errorf("%+v", s)
	}
}

func TestLoadReplaceAndThePast(t *testing.T) {
	d := newDesk(t)
	begin := d.now
	at := func(c *contract.Contract, after time.Duration) int {
		n := 0
		for _, duty := range c.At(begin.Add(after)).Duties() {
			if duty.Control == "H.1" {
				n++
			}
		}
		return n
	}
	d.now = begin.Add(time.Hour)
	d.load(t, "house", "1", "H.1", 1)
	d.now = begin.Add(2 * time.Hour)
	d.load(t, "house", "2", "H.1", 3)
	d.now = begin.Add(3 * time.Hour)
	d.load(t, "other", "1", "O.1", 1)
	again := d.open(t) // as after a restart
	for _, c := range []*contract.Contract{d.Contract, again} {
		for after, want := range map[time.Duration]int{0: 0, time.Hour - 1: 0, time.Hour: 1, 2*time.Hour - 1: 1, 2 * time.Hour: 3, 4 * time.Hour: 3} {
			if got := at(c, after); got != want {
				t.Errorf("after %s: %d duties, want %d", after, got, want)
			}
		}
		if n := len(c.List()); n != 4 {
			t.Errorf("%d catalogues", n)
		}
		if old, ok := c.Get("house", "1.0.0"); !ok || len(old.Duties()) != 1 {
			t.Error("the replaced version is gone")
		}
		if _, ok := c.Find("O.1/C-1"); !ok {
			t.Error("a duty in force is not found")
		}
	}
	if len(d.notes.all) != 3 || d.notes.all[0].Action != "catalogue.load" || !strings.HasPrefix(d.notes.all[0].Digests["source"], "sha256:") {
		t.Errorf("recorded %+v", d.notes.all)
	}
	if !again.ServiceRule("hardening/ssh-no-x11") || again.ServiceRule("hardening/nonesuch") || again.ServiceRule("nonesuch/x") || again.ServiceRule("x") {
		t.Error("rules of services")
	}
}

// TestMatrixOfThePast asks for moments before and after a catalogue came.
func TestMatrixOfThePast(t *testing.T) {
	d := newDesk(t)
	begin := d.now
	tenant := seed(t, d.store, begin)
	d.now = begin.Add(time.Hour)
	d.load(t, "house", "1", "H.1", 2)
	for after, want := range map[time.Duration]int{time.Minute: 0, 2 * time.Hour: 2} {
		m, err := matrix.For(t.Context(), d.store, d, tenant, begin.Add(after))
		if err != nil {
			t.Fatal(err)
		}
		n := 0
		for _, r := range m.Rows {
			if r.Duty.Control == "H.1" {
				n++
			}
		}
		if n != want || len(m.Rows) < 50 {
			t.Errorf("after %s: %d of %d rows are the house's, want %d", after, n, len(m.Rows), want)
		}
	}
}

func TestLoadRefuses(t *testing.T) {
	d := newDesk(t)
	d.load(t, "house", "1", "H.1", 1)
	_, _, err := d.Load(t.Context(), by, "house.yaml", house("house", "1", "H.1", 2))
	if !errors.Is(err, store.ErrConflict) {
		t.Errorf("one version twice: %v", err)
	}
	for what, source := range map[string][]byte{
		"another's control": house("third", "1", "H.1", 1), "built-in control": house("third", "1", "CLD.6.3.1", 1), "no YAML": []byte("a: ["), "empty": nil,
		"unknown fact": []byte(strings.Replace(string(house("third", "1", "T.1", 1)), "modes: [attested], evidence: A statement., attestation_for: 30d",
			"modes: [assessed], evidence: e, assessment: {stale_after: 1h, met: no.such.fact, message: '\"x\"', remedy: r}", 1)),
	} {
		_, _, err := d.Load(t.Context(), by, "third.yaml", source)
		var refusal *responsibility.Refusal
		if !errors.As(err, &refusal) || len(refusal.Faults) == 0 {
			t.Errorf("%s: %v", what, err)
		}
	}
	if n := len(d.List()); n != 2 {
		t.Errorf("%d catalogues after refusals", n)
	}
	if len(d.notes.all) != 1 {
		t.Errorf("recorded %+v", d.notes.all)
	}
}

// TestLoadAtOnce: of catalogues that do not fit together one is taken.
func TestLoadAtOnce(t *testing.T) {
	d := newDesk(t)
	var wg sync.WaitGroup
	var mu sync.Mutex
	taken := 0
	for i := range 6 {
		wg.Go(func() {
			_, _, err := d.Load(t.Context(), by, "h.yaml", house(fmt.Sprintf("house%d", i), "1", "H.1", 1))
			mu.Lock()
			defer mu.Unlock()
			if err == nil {
				taken++
			}
		})
	}
	wg.Wait()
	if taken != 1 || len(d.List()) != 2 {
		t.Errorf("%d were taken, %d are there", taken, len(d.List()))
	}
	d.open(t).At(d.now.Add(time.Hour)) // still fits together
}

// TestAnotherServerFollows loads on one server and asks another of the same
// installation.
func TestAnotherServerFollows(t *testing.T) {
	d := newDesk(t)
	other := d.open(t)
	d.now = d.now.Add(time.Minute)
	if _, _, err := d.Load(t.Context(), by, "house.yaml", house("house", "1", "H.1", 2)); err != nil {
		t.Fatal(err)
	}
	compiled, err := other.Refresh(t.Context())
	if err != nil || compiled == nil || compiled.Duty("H.1/C-1") == nil {
		t.Fatalf("the other server has not followed: %v, %v", compiled, err)
	}
	if again, err := other.Refresh(t.Context()); again != nil || err != nil {
		t.Errorf("nothing is new, but Refresh gave %v, %v", again != nil, err)
	}
}
