package e2e

import (
	"bytes"
	"database/sql"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	_ "modernc.org/sqlite" // database/sql driver "sqlite"

	"github.com/demarc/demarc/api"
)

// expect waits until a duty of a tenant, or of the provider where tenant is
// "", has a verdict with a reason that contains a text.
func (s *server) expect(tenant, duty, verdict, reason string) {
	s.t.Helper()
	args := []string{"posture", "--duty", duty}
	if tenant != "" {
		args = append(args, "--tenant", tenant)
	}
	eventually(s.t, duty+" is "+verdict, func() string {
		var list []api.Verdict
		s.ask(&list, args...)
		for _, v := range list {
			if v.Verdict != verdict || !strings.Contains(v.Reason, reason) {
				return v.Verdict + ": " + v.Reason
			}
		}
		if len(list) == 0 {
			return "no verdict"
		}
		return ""
	})
}

// TestWitness lets a witness cosign the ledger, which makes it a log that the
// provider alone cannot rewrite.
//
//demarc:duty CLD.12.1.5/P-5.2b
func TestWitness(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	s.tenant("acme")
	s.expect("", "CLD.12.1.5/P-5.2b", "not-met", "no witness cosigns")
	var state api.LedgerState
	s.ask(&state, "ledger", "state")

	ports, err := freePorts(1)
	if err != nil {
		t.Fatal(err)
	}
	w := startProcess(t, exec.Command(filepath.Join(bin, "demarc"), "witness", "--dir", filepath.Join(t.TempDir(), "witness"),
		"--name", "witness.customer.example/w1", "--log", state.Keys[0], "--listen", ports[0]))
	t.Cleanup(func() { w.end(t) })
	var vkey string
	eventually(t, "the witness is ready", func() string {
		m := regexp.MustCompile(`Verifier key: (\S+)\n`).FindStringSubmatch(w.output())
		if m == nil {
			return "it printed " + w.output()
		}
		vkey = m[1]
		return ""
	})
	s.proc.end(t)
	s.args = append(s.args, "--witness", "http://"+ports[0]+" "+vkey)
	s.start()
	s.demarc("tenant", "create", "globex")
	s.expect("", "CLD.12.1.5/P-5.2b", "met", "")

	bundle := filepath.Join(t.TempDir(), "b")
	eventually(t, "a bundle with the witness's word", func() string {
		s.demarc("ledger", "bundle", "--out", bundle)
		_, errOut, err := s.try("verify", bundle, "--key", state.Keys[0], "--witness", vkey)
		if err != nil {
			return errOut
		}
		return ""
	})
	// Nobody else's key will do.
	if _, _, err := s.try("verify", bundle, "--key", state.Keys[0], "--witness", state.Keys[0]); err == nil {
		t.Error("a bundle passes for cosigned by a witness that has not cosigned it")
	}
}

// TestTamperedLedger changes one byte of a stored entry behind the server's back.
//
//demarc:duty CLD.12.1.5/P-5.2a
//demarc:duty CLD.8.1.5/P-2.3b
func TestTamperedLedger(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	s.tenant("acme")
	s.expect("", "CLD.8.1.5/P-2.3b", "met", "")
	s.expect("acme", "CLD.12.1.5/P-5.2a", "met", "")
	s.demarc("ledger", "verify")

	s.proc.end(t)
	db := s.database()
	// The database itself refuses to change an entry; whoever owns the file can.
	if _, err := db.Exec(`UPDATE ledger_entry SET action = 'tenant.creste' WHERE action = 'tenant.create'`); err == nil {
		t.Error("the database lets a ledger entry be changed")
	}
	rows, err := db.Query(`SELECT name FROM sqlite_master WHERE type = 'trigger' AND tbl_name LIKE 'ledger%'`)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for rows.Next() {
		var n string
		if err := rows.Scan(&n); err != nil {
			t.Fatal(err)
		}
		names = append(names, n)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	for _, n := range names {
		exec1(t, db, `DROP TRIGGER "`+n+`"`)
	}
	exec1(t, db, `UPDATE ledger_entry SET action = 'tenant.creste' WHERE action = 'tenant.create'`)
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}

	s.start()
	_, errOut, err := s.try("ledger", "verify")
	if code := exitCode(err); code != 3 {
		t.Errorf("ledger verify exits with %d, want 3: %s", code, errOut)
	}
	s.expect("", "CLD.8.1.5/P-2.3b", "not-met", "")
	// Tenants are looked at each minute, or when something of theirs changes.
	s.demarc("contact", "create", "--tenant", "acme", "--role", "billing", "--name", "Ben Roe", "--mail", "ben@customer.example")
	s.expect("acme", "CLD.12.1.5/P-5.2a", "not-met", "the ledger has a fault")
}

// TestContactsAreKeptSparingly asks the server to keep more about a person than
// it needs, and looks for a contact in the clear in what it stores.
//
//demarc:duty PII/C-8b
//demarc:duty PII/P-8c
//demarc:duty PII/P-8d
//demarc:duty PII/P-8e
func TestContactsAreKeptSparingly(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	s.tenant("acme")
	for _, duty := range []string{"PII/P-8c", "PII/P-8d", "PII/P-8e"} {
		s.expect("", duty, "met", "")
	}
	s.expect("acme", "PII/C-8b", "met", "")

	const mail = "ana.lima@customer.example"
	s.demarc("contact", "create", "--tenant", "acme", "--role", "administrator", "--name", "Ana Lima", "--mail", mail, "--telephone", "+49 30 1234567")
	if _, errOut, err := s.try("contact", "create", "--tenant", "acme", "--role", "billing", "--name", "Ana Lima L01X00T47", "--mail", mail); err == nil || !strings.Contains(errOut, "identity documents") {
		t.Errorf("the number of an identity document is kept in a name: %v %s", err, errOut)
	}
	for member, value := range map[string]string{"birthday": "1980-01-01", "passport": "L01X00T47", "notes": "likes tea"} {
		body, err := json.Marshal(map[string]string{"role": "billing", "name": "Ben Roe", "mail": "ben@customer.example", member: value})
		if err != nil {
			t.Fatal(err)
		}
		if code, _ := s.post("/v1/tenants/acme/contacts", body); code != http.StatusUnprocessableEntity {
			t.Errorf("a contact with %s is answered with %d, want 422", member, code)
		}
	}

	// Neither files nor log hold what only the tenant's key opens.
	s.proc.end(t)
	err := filepath.Walk(s.data, func(path string, info os.FileInfo, err error) error {
		if err != nil || !info.Mode().IsRegular() {
			return err
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		for _, clear := range []string{mail, "Ana Lima", "1234567"} {
			if bytes.Contains(b, []byte(clear)) {
				t.Errorf("%s holds %q in the clear", path, clear)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(s.proc.output(), "customer.example") {
		t.Error("the log holds a mail address")
	}

	// Without its key a tenant's contacts cannot be sealed, and the duty says so.
	db := s.database()
	exec1(t, db, `DELETE FROM tenant_key`)
	exec1(t, db, `DELETE FROM contact`)
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	s.start()
	s.expect("", "PII/P-8e", "not-met", "")
}

// TestProviderStates lets the provider attest and waive duties about itself.
//
//demarc:duty PII/P-8k
func TestProviderStates(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	s.tenant("acme")
	s.expect("", "PII/P-8k", "unknown", "nobody has attested it")
	var st api.Statement
	s.ask(&st, "attest", "PII/P-8k", "--provider", "--text", "Both subcontractors were audited", "--expires", "300d")
	s.expect("", "PII/P-8k", "met", "")
	var list []api.Statement
	s.ask(&list, "attestation", "list", "--provider")
	if len(list) != 1 || list[0].ID != st.ID {
		t.Errorf("attestations: %+v", list)
	}
	s.demarc("attestation", "withdraw", st.ID, "--provider", "--yes")
	s.expect("", "PII/P-8k", "unknown", "")
	s.demarc("waive", "PII/P-8k", "--provider", "--reason", "the audit is in March", "--expires", "90d")
	s.expect("", "PII/P-8k", "waived", "the audit is in March")
	if _, errOut, err := s.try("attest", "PII/P-8k", "--provider", "--tenant", "acme", "--text", "audited", "--expires", "30d"); exitCode(err) != 2 {
		t.Errorf("--provider with --tenant: %v %s", err, errOut)
	}
	if _, _, err := s.try("attest", "PII/P-8k", "--tenant", "acme", "--text", "audited", "--expires", "30d"); err == nil {
		t.Error("a tenant's statement stands for the provider's")
	}
}

// database opens the state store of a server that is stopped.
func (s *server) database() *sql.DB {
	s.t.Helper()
	db, err := sql.Open("sqlite", filepath.Join(s.data, "state.db"))
	if err != nil {
		s.t.Fatal(err)
	}
	return db
}

func exec1(t *testing.T, db *sql.DB, statement string) {
	t.Helper()
	if _, err := db.Exec(statement); err != nil {
		t.Fatalf("%s: %v", statement, err)
	}
}

// post sends JSON once as the administrator and returns status and answer.
func (s *server) post(path string, body []byte) (status int, answer string) {
	s.t.Helper()
	req, err := http.NewRequestWithContext(s.t.Context(), http.MethodPost, s.client.Base+path, bytes.NewReader(body))
	if err != nil {
		s.t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+s.client.Token)
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		s.t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	if err != nil {
		s.t.Fatal(err)
	}
	return resp.StatusCode, string(text)
}

// exitCode is the exit code that err tells of: 0 if nil, -1 if it is no exit.
func exitCode(err error) int {
	var exit *exec.ExitError
	switch {
	case err == nil:
		return 0
	case errors.As(err, &exit):
		return exit.ExitCode()
	}
	return -1
}
