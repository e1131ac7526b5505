package e2e

import (
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/demarc/demarc/api"
)

// ofMachine are the duties that the bad machine of testdata/hosts breaks and
// the good one meets, with a word of the reason that the bad one gets.
var ofMachine = map[string]string{
	"CLD.6.3.1/C-1.1c":  "not watched: host.users",
	"CLD.6.3.1/C-1.1d":  "required settings of debian-level-1 not in force",
	"CLD.6.3.1/C-1.2a":  "update",
	"CLD.6.3.1/C-1.2b":  "anti-malware",
	"CLD.6.3.1/C-1.3a":  "/srv/data",
	"CLD.6.3.1/C-1.4a":  "toor",
	"CLD.6.3.1/C-1.4b":  "",
	"CLD.9.5.1/C-3.1a":  "tcp/23",
	"CLD.9.5.1/C-3.2a":  "/srv/data",
	"CLD.9.5.1/C-3.2b":  "postgresql",
	"CLD.9.5.1/C-3.3a":  "",
	"CLD.9.5.2/C-4.1a":  "required rules",
	"CLD.9.5.2/C-4.1b":  "tcp/23",
	"CLD.9.5.2/C-4.2a":  "update",
	"CLD.9.5.2/C-4.3a":  "sudo without a password",
	"CLD.9.5.2/C-4.3b":  "",
	"CLD.9.5.2/C-4.4a":  "",
	"CLD.9.5.2/C-4.4b":  "audit daemon",
	"CLD.12.1.5/C-5.1a": "ben",
	"CLD.12.1.5/C-5.2a": "empty passwords are accepted",
	"CLD.12.1.5/C-5.2b": "anna",
	"CLD.12.1.5/C-5.3a": "logs stay on the machine",
	"CLD.12.1.5/C-5.4a": "203.0.113.7",
	"CLD.12.1.5/C-5.4b": "PermitRootLogin yes",
	"CLD.12.4.5/C-6.2a": "execution as root is not audited",
	"CLD.12.4.5/C-6.3a": "update",
	"CLD.13.1.4/C-7.1b": "",
	"CLD.13.1.4/C-7.2a": "",
	"CLD.13.1.4/C-7.3a": "",
	"CLD.13.1.4/C-7.3b": "ssh-no-weak-ciphers",
	"PII/C-8d":          "ben",
	"PII/C-8f":          "intrusion detection",
}

// TestDutiesOfAMachine enrols a machine, lets it go from good to bad and back,
// and sees each verdict follow: through the agent, the bus, ingest and posture
// to the command line. The machine's files and the answers of its commands are
// made up; the agent sees them as its own root.
//
// The machine is one of the provider's own hosts, by which the duties about the
// platform are judged too.
//
//demarc:duty CLD.6.3.1/C-1.1c
//demarc:duty CLD.6.3.1/C-1.1d
//demarc:duty CLD.6.3.1/C-1.2a
//demarc:duty CLD.6.3.1/C-1.2b
//demarc:duty CLD.6.3.1/C-1.3a
//demarc:duty CLD.6.3.1/C-1.4a
//demarc:duty CLD.6.3.1/C-1.4b
//demarc:duty CLD.9.5.1/C-3.1a
//demarc:duty CLD.9.5.1/C-3.2a
//demarc:duty CLD.9.5.1/C-3.2b
//demarc:duty CLD.9.5.1/C-3.3a
//demarc:duty CLD.9.5.2/C-4.1a
//demarc:duty CLD.9.5.2/C-4.1b
//demarc:duty CLD.9.5.2/C-4.2a
//demarc:duty CLD.9.5.2/C-4.3a
//demarc:duty CLD.9.5.2/C-4.3b
//demarc:duty CLD.9.5.2/C-4.4a
//demarc:duty CLD.9.5.2/C-4.4b
//demarc:duty CLD.12.1.5/C-5.1a
//demarc:duty CLD.12.1.5/C-5.2a
//demarc:duty CLD.12.1.5/C-5.2b
//demarc:duty CLD.12.1.5/C-5.3a
//demarc:duty CLD.12.1.5/C-5.4a
//demarc:duty CLD.12.1.5/C-5.4b
//demarc:duty CLD.12.4.5/C-6.2a
//demarc:duty CLD.12.4.5/C-6.3a
//demarc:duty CLD.13.1.4/C-7.1b
//demarc:duty CLD.13.1.4/C-7.2a
//demarc:duty CLD.13.1.4/C-7.3a
//demarc:duty CLD.13.1.4/C-7.3b
//demarc:duty PII/C-8d
//demarc:duty PII/C-8f
//demarc:duty CLD.6.3.1/P-1.1a
//demarc:duty CLD.6.3.1/P-1.1b
//demarc:duty CLD.12.1.5/P-5.3a
//demarc:duty CLD.12.1.5/P-5.3b
func TestDutiesOfAMachine(t *testing.T) {
	t.Parallel()
	needPrograms(t)
	s := newServer(t)
	s.tenant("acme")
	root := t.TempDir()
	writeHost(t, root, "good")
	const agent = "/usr/sbin/demarc-agent"
	if err := copyFile(filepath.Join(bin, "demarc-agent"), filepath.Join(root, agent)); err != nil {
		t.Fatal(err)
	}
	tok := s.token("acme", "web-1")
	enrol := inJail(t, root, agent, "enroll", "--server", tok.Server)
	enrol.Env = append(enrol.Env, "DEMARC_ENROL_TOKEN="+tok.Token)
	if out, err := enrol.CombinedOutput(); err != nil {
		if strings.Contains(string(out), "jail:") {
			t.Skipf("no machine of its own can be made here: %v\n%s", err, out)
		}
		t.Fatalf("enrol: %v\n%s", err, out)
	}
	var contact api.Contact
	s.ask(&contact, "contact", "create", "--tenant", "acme", "--role", "administrator", "--name", "Ana Lima", "--mail", "ana@customer.example")
	s.expect("", "CLD.6.3.1/P-1.1b", "not-met", "hosts that could not be read: web-1")
	s.demarc("vm", "declare", "web-1", "--tenant", "acme", "--listener", "tcp/2222", "--sensitive-path", "/srv/data",
		"--admin-source", "198.51.100.0/24", "--administrator", "anna", "--accountable", contact.ID)

	for _, state := range []struct{ host, verdict string }{{"good", "met"}, {"bad", "not-met"}, {"good", "met"}} {
		writeHost(t, root, state.host)
		p := startProcess(t, inJail(t, root, agent, "run"))
		t.Cleanup(func() { p.end(t) })
		eventually(t, "the verdicts of the "+state.host+" machine", func() string {
			return wrong(s.verdicts("acme", "web-1"), state.verdict)
		})
		for _, duty := range []string{"CLD.6.3.1/P-1.1a", "CLD.12.1.5/P-5.3b"} {
			s.expect("", duty, state.verdict, map[string]string{"bad": "required settings not in force: web-1: "}[state.host])
		}
		s.expect("", "CLD.6.3.1/P-1.1b", "met", "")
		s.expect("", "CLD.12.1.5/P-5.3a", "met", "")
		if state.host == "bad" {
			explained(t, s)
		}
		p.end(t)
	}
}

// wrong lists the verdicts of a machine that are not as they should be.
func wrong(got map[string]api.Verdict, want string) string {
	var out []string
	for _, duty := range slices.Sorted(maps.Keys(ofMachine)) {
		v := got[duty]
		if v.Verdict != want || want == "not-met" && !strings.Contains(v.Reason, ofMachine[duty]) {
			out = append(out, fmt.Sprintf("%s is %q: %s", duty, v.Verdict, v.Reason))
		}
	}
	return strings.Join(out, "\n")
}

// explained asks for all about one duty that is not met.
func explained(t *testing.T, s *server) {
	t.Helper()
	text := s.demarc("explain", "CLD.9.5.2/C-4.3a", "--vm", "web-1", "--tenant", "acme")
	for _, part := range []string{"not met since", "ben", "Responsible\n  customer", "fact host.sudo, observed", "What would change it", "Remedy"} {
		if !strings.Contains(text, part) {
			t.Errorf("explain lacks %q:\n%s", part, text)
		}
	}
}

// TestRevokedAgentLeavesItsMachineUnwatched ends an agent's identity, which
// ends what is known of its machine, and brings the machine back.
//
//demarc:duty CLD.12.4.5/C-6.1a
func TestRevokedAgentLeavesItsMachineUnwatched(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	s.tenant("acme")
	root, dir := t.TempDir(), t.TempDir()
	writeHost(t, root, "good")
	s.enrol("acme", "web-1", dir, root)
	p := s.agent(dir, root)
	t.Cleanup(func() { p.end(t) })
	s.expect("acme", "CLD.12.4.5/C-6.1a", "met", "")
	var agents []api.Agent
	s.ask(&agents, "agent", "list", "--tenant", "acme")
	s.demarc("agent", "revoke", agents[0].ID, "--tenant", "acme", "--yes")
	s.expect("acme", "CLD.12.4.5/C-6.1a", "not-met", "the agent is silent")
	again := t.TempDir()
	s.enrol("acme", "web-1", again, root)
	q := s.agent(again, root)
	t.Cleanup(func() { q.end(t) })
	s.expect("acme", "CLD.12.4.5/C-6.1a", "met", "")
}

// TestOneChangedFileTurnsItsDuties changes single files below an agent's root
// while it runs, asks it to look, and sees only the duties concerned turn.
//
//demarc:duty CLD.6.3.1/C-1.4a
//demarc:duty CLD.9.5.2/C-4.3a
func TestOneChangedFileTurnsItsDuties(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	s.tenant("acme")
	root, dir := t.TempDir(), t.TempDir()
	writeHost(t, root, "good")
	s.enrol("acme", "web-2", dir, root)
	s.demarc("vm", "declare", "web-2", "--tenant", "acme", "--administrator", "anna")
	p := s.agent(dir, root)
	t.Cleanup(func() { p.end(t) })
	expect := func(duty, verdict, reason string) {
		t.Helper()
		eventually(t, duty+" "+verdict, func() string {
			v := s.verdicts("acme", "web-2")[duty]
			if v.Verdict == verdict && strings.Contains(v.Reason, reason) {
				return ""
			}
			return v.Verdict + ": " + v.Reason
		})
	}
	expect("CLD.6.3.1/C-1.4a", "met", "")
	expect("CLD.9.5.2/C-4.3a", "met", "")

	passwd := readFile(t, root, "etc/passwd")
	place(t, root, "etc/passwd", passwd+"ghost:x:0:0:spare:/root:/bin/bash\n")
	s.demarc("agent", "refresh", "web-2", "--tenant", "acme")
	expect("CLD.6.3.1/C-1.4a", "not-met", "ghost")
	expect("CLD.9.5.2/C-4.3a", "not-met", "ghost")
	expect("CLD.9.5.1/C-3.2b", "met", "")

	place(t, root, "etc/passwd", passwd)
	place(t, root, "etc/sudoers", readFile(t, root, "etc/sudoers")+"anna ALL=(ALL) NOPASSWD: ALL\n")
	s.demarc("agent", "refresh", "web-2", "--tenant", "acme")
	expect("CLD.6.3.1/C-1.4a", "met", "")
	expect("CLD.9.5.2/C-4.3a", "not-met", "anna")
}
