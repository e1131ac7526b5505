package store

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/demarc/demarc/internal/evidence"
)

// A statement is compiled once, and that must not show: not while its rows are
// read, not after it failed, not when there are more than are kept.
func TestCompiledStatements(t *testing.T) {
	s, err := Open(t.Context(), "sqlite://"+t.TempDir()+"/state.db")
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	err = s.Write(t.Context(), func(tx *Tx) error {
		const numbers = "SELECT value FROM json_each(?) ORDER BY value"
		outer, err := tx.db.Tx.QueryContext(tx.ctx, numbers, "[1,2,3]")
		if err != nil {
			return err
		}
		defer outer.Close()
		seen := ""
		for outer.Next() {
			var a, b int
			if err := outer.Scan(&a); err != nil {
				return err
			}
			if err := tx.db.Tx.QueryRowContext(tx.ctx, numbers, fmt.Sprintf("[%d]", 10*a)).Scan(&b); err != nil {
				return err
			}
			seen += fmt.Sprint(a, b, ";")
		}
		if seen != "1 10;2 20;3 30;" {
			t.Errorf("rows of a statement that runs within itself: %s", seen)
		}
		for n := range 3 * compiledStatements {
			var got int
			if err := tx.db.Tx.QueryRowContext(tx.ctx, fmt.Sprintf("SELECT ? + %d", n), 1).Scan(&got); err != nil || got != n+1 {
				t.Fatalf("statement %d gives %d, %v", n, got, err)
			}
		}
		return outer.Err()
	})
	if err != nil {
		t.Fatal(err)
	}
	subject := evidence.Subject{Scope: evidence.ScopeTenant, Tenant: "t-1", ID: "t-1"}
	put := func(party string) error {
		return s.Write(t.Context(), func(tx *Tx) error {
			return tx.PutVerdicts([]evidence.Judgement{{Subject: subject, Duty: "d", Party: party, Verdict: evidence.Met}})
		})
	}
	for range 3 {
		if err := put("nobody"); err == nil {
			t.Error("the database took a party that there is not")
		}
		if err := put("customer"); err != nil {
			t.Errorf("after a failure of the same statement: %v", err)
		}
	}
	gone := errors.New("gone")
	if err := s.Write(t.Context(), func(tx *Tx) error { return gone }); !errors.Is(err, gone) {
		t.Error(err)
	}
}

func TestEvidenceIsComparedButForItsAge(t *testing.T) {
	at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	ref := evidence.Reference{Type: "fact", Ref: `a"at":"b`, Subject: evidence.Subject{Scope: evidence.ScopeVM, Tenant: "t", ID: "v"}, Digest: "sha256:1", At: at, Source: "agent/\x01é"}
	stored := StandingVerdict{evidence: string(appendEvidence(nil, []evidence.Reference{ref, ref}))}
	if full, err := stored.Full(); err != nil || len(full.Evidence) != 2 || full.Evidence[0] != ref {
		t.Fatalf("evidence comes back as %+v, %v", full.Evidence, err)
	}
	same := func(change func(*evidence.Reference)) bool {
		other := ref
		change(&other)
		return stored.SameEvidence(evidence.Judgement{Evidence: []evidence.Reference{ref, other}})
	}
	if !same(func(r *evidence.Reference) { r.At = at.Add(1500 * time.Millisecond) }) {
		t.Error("another age is another evidence")
	}
	for name, change := range map[string]func(*evidence.Reference){
		"digest": func(r *evidence.Reference) { r.Digest = "sha256:2" }, "source": func(r *evidence.Reference) { r.Source = "server" },
		"kind": func(r *evidence.Reference) { r.Ref = "b" }, "subject": func(r *evidence.Reference) { r.Subject.ID = "w" },
	} {
		if same(change) {
			t.Errorf("another %s is the same evidence", name)
		}
	}
	if stored.SameEvidence(evidence.Judgement{Evidence: []evidence.Reference{ref}}) || stored.SameEvidence(evidence.Judgement{}) {
		t.Error("less evidence is the same")
	}
}
