package observer

import (
	"context"
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/demarc/demarc/internal/service/telemetry"
)

func TestMaskSecrets(t *testing.T) {
	for in, want := range map[string]string{
		"backup --password=hunter2 --dry-run":             "backup --password=**** --dry-run",
		"backup --password 'two words' -v":                "backup --password **** -v",
		"DB_PASSWORD=\"a b\" run":                         "DB_PASSWORD=**** run",
		"mysqldump -u root -pS3cret db":                   "mysqldump -u root -p**** db",
		"curl https://user:pw@host/x":                     "curl https://****@host/x",
		"curl -H 'X-Api-Key: abcdef' https://host":        "curl -H 'X-Api-Key: ****' https://host",
		"sshpass -p geheim ssh host":                      "sshpass -p **** ssh host",
		"aws s3 cp AKIAABCDEFGHIJKLMNOP":                  "aws s3 cp ****",
		"run-parts --report /etc/cron.daily":              "run-parts --report /etc/cron.daily",
		"find / -mtime +3 -delete":                        "find / -mtime +3 -delete",
		"API_TOKEN=ghp_abcdefghijklmnopqrstuvwxyz012 run": "API_TOKEN=**** run",
	} {
		if got := maskSecrets(in); got != want {
			t.Errorf("%s\ngot  %s\nwant %s", in, got, want)
		}
	}
}

func sudoersOf(t testing.TB, text string) *sudoers {
	t.Helper()
	s := &sudoers{aliases: map[string][]string{}}
	for _, l := range logicalLines([]byte(text)) {
		s.line(l.text, "f", l.number)
	}
	s.resolve()
	return s
}

func TestSudoers(t *testing.T) {
	for _, c := range []struct {
		text string
		full []string
		want telemetry.SudoRule
	}{
		{"a ALL=(ALL) ALL", []string{"a"}, telemetry.SudoRule{Who: "a", Hosts: "ALL", As: "ALL", Commands: "ALL"}},
		{"a ALL=ALL", []string{"a"}, telemetry.SudoRule{Who: "a", Hosts: "ALL", As: "root", Commands: "ALL"}},
		{"a ALL=(www-data) ALL", nil, telemetry.SudoRule{Who: "a", Hosts: "ALL", As: "www-data", Commands: "ALL"}},
		{"a\tALL = NOPASSWD: /bin/ls, ALL", []string{"a"}, telemetry.SudoRule{Who: "a", Hosts: "ALL", As: "root", Tags: "NOPASSWD", Commands: "/bin/ls, ALL"}},
		{"a ALL=(root) NOPASSWD: NOEXEC: /bin/vi", nil, telemetry.SudoRule{Who: "a", Hosts: "ALL", As: "root", Tags: "NOPASSWD NOEXEC", Commands: "/bin/vi"}},
		{"#1000 ALL=(ALL) ALL", []string{"#1000"}, telemetry.SudoRule{Who: "#1000", Hosts: "ALL", As: "ALL", Commands: "ALL"}},
		{`"%domain admins" ALL=(ALL) ALL`, []string{`"%domain admins"`}, telemetry.SudoRule{Who: `"%domain admins"`, Hosts: "ALL", As: "ALL", Commands: "ALL"}},
		{`a ALL=(root) /bin/mount -o user\=b, !ALL`, nil, telemetry.SudoRule{Who: "a", Hosts: "ALL", As: "root", Commands: `/bin/mount -o user\=b, !ALL`}},
		{"a ALL=(root) /usr/bin/journalctl # look", nil, telemetry.SudoRule{Who: "a", Hosts: "ALL", As: "root", Commands: "/usr/bin/journalctl"}},
		{"X ALL=(R) C\nUser_Alias X = a\nRunas_Alias R = root\nCmnd_Alias C = ALL", []string{"a"}, telemetry.SudoRule{Who: "a", Hosts: "ALL", As: "R", Commands: "C"}},
	} {
		s := sudoersOf(t, c.text)
		if len(s.rules) != 1 {
			t.Errorf("%s: %d rules: %+v", c.text, len(s.rules), s.rules)
			continue
		}
		got := s.rules[0]
		got.File, got.Line = "", 0
		if got != c.want {
			t.Errorf("%s\ngot  %+v\nwant %+v", c.text, got, c.want)
		}
		if full := s.fullRights(); !slices.Equal(full, c.full) {
			t.Errorf("%s: full rights %v, want %v", c.text, full, c.full)
		}
	}
	s := sudoersOf(t, "a, b , c ALL=(ALL) ALL : h2=/bin/ls")
	if len(s.rules) != 6 {
		t.Errorf("three users and two lists of hosts gave %d rules: %+v", len(s.rules), s.rules)
	}
}

func TestCompareVersions(t *testing.T) {
	ascending := []string{"5.14.0-70.el9", "5.14.0-427.el9.x86_64", "6.1.0~rc1", "6.1.0-9-amd64", "6.1.0-10-amd64", "6.1.0-41-amd64", "6.12"}
	for i := range ascending {
		for j := range ascending {
			got, want := compareVersions(ascending[i], ascending[j]), i-j
			if (got < 0) != (want < 0) || (got > 0) != (want > 0) {
				t.Errorf("compare %s with %s = %d", ascending[i], ascending[j], got)
			}
		}
	}
}

func TestSeconds(t *testing.T) {
	for in, want := range map[string]int{"120": 120, "2m": 120, "1h30m": 5400, "1w": 604800, "0": 0, "": 0, "x": 0, "5x": 0} {
		if got := seconds(in); got != want {
			t.Errorf("seconds(%q) = %d, want %d", in, got, want)
		}
	}
}

func TestMethodsDiffer(t *testing.T) {
	for _, c := range []struct {
		methods string
		factor  bool
		want    bool
	}{
		{"any", true, false}, {"", false, false}, {"publickey", true, false}, {"publickey,password", false, true},
		{"publickey,publickey", false, false}, {"publickey,keyboard-interactive:pam", false, true},
		{"password,keyboard-interactive", false, false}, {"keyboard-interactive", true, true},
		{"publickey,password publickey", false, false}, {"publickey,password gssapi-with-mic,publickey", false, true},
	} {
		if got := methodsDiffer(c.methods, c.factor); got != c.want {
			t.Errorf("methodsDiffer(%q, %v) = %v", c.methods, c.factor, got)
		}
	}
}

// utmpEntry builds a record as login(1) and sshd write it.
func utmpEntry(kind int, user, host string, at time.Time) []byte {
	b := make([]byte, utmpSize)
	binary.LittleEndian.PutUint16(b, uint16(kind))
	copy(b[8:], "pts/0")
	copy(b[44:], user)
	copy(b[76:], host)
	binary.LittleEndian.PutUint32(b[340:], uint32(at.Unix()))
	if host == "" {
		copy(b[348:], []byte{192, 0, 2, 7})
	}
	return b
}

func TestWtmp(t *testing.T) {
	root := t.TempDir()
	write(t, root, "/etc/passwd", "anna:x:1000:1000::/home/anna:/bin/sh\nben:x:1001:1001::/home/ben:/bin/sh\n")
	write(t, root, "/var/log/wtmp", string(slices.Concat(
		utmpEntry(2, "reboot", "6.1", fixtureNow.Add(-3*time.Hour)), utmpEntry(7, "anna", "198.51.100.1", fixtureNow.Add(-2*time.Hour)),
		utmpEntry(7, "ben", "", fixtureNow.Add(-time.Hour)), utmpEntry(7, "anna", ":0", fixtureNow.Add(-80*time.Hour)), []byte("torn"))))
	write(t, root, "/var/log/btmp", string(utmpEntry(6, "admin", "203.0.113.9", fixtureNow)))
	lastlog := make([]byte, 1001*lastlogSize+lastlogSize)
	binary.LittleEndian.PutUint32(lastlog[1001*lastlogSize:], uint32(fixtureNow.Add(-time.Minute).Unix()))
	write(t, root, "/var/log/lastlog", string(lastlog))
	p := newProbe(root, func() time.Time { return fixtureNow })
	got, err := collectLogins(t.Context(), p)
	if err != nil {
		t.Fatal(err)
	}
	want := telemetry.Logins{
		Available: true, Source: "wtmp", WindowHours: 24, Failed: 1,
		FailedByUser: map[string]int{"(no such account)": 1}, FailedBySource: map[string]int{"203.0.113.9": 1},
		RemoteSources: []string{"192.0.2.7", "198.51.100.1"},
		Logins: []telemetry.Login{
			{User: "ben", Source: "192.0.2.7", At: fixtureNow.Add(-time.Hour)}, {User: "anna", Source: "198.51.100.1", At: fixtureNow.Add(-2 * time.Hour)},
		},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
	acc, err := p.accounts()
	if err != nil {
		t.Fatal(err)
	}
	last, known := p.lastLogins(acc)
	if !known || !last["ben"].Equal(fixtureNow.Add(-time.Minute)) || !last["anna"].Equal(fixtureNow.Add(-2*time.Hour)) {
		t.Errorf("last logins %v, %v", last, known)
	}
}

func write(t testing.TB, root, name, text string) string {
	t.Helper()
	path := filepath.Join(root, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestFiles(t *testing.T) {
	root := t.TempDir()
	write(t, root, "/etc/passwd", "root:x:0:0::/root:/bin/sh\nme:x:"+strconv.Itoa(os.Getuid())+":"+strconv.Itoa(os.Getgid())+"::/home/me:/bin/sh\n")
	write(t, root, "/etc/group", "root:x:0:\nmine:x:"+strconv.Itoa(os.Getgid())+":\n")
	write(t, root, "/proc/1/mountinfo", "1 0 8:1 / / rw - ext4 /dev/sda1 rw\n")
	write(t, root, "/var/lib/dpkg/status", "Package: a\nStatus: install ok installed\nVersion: 1\n")
	write(t, root, "/var/lib/dpkg/info/a.list", "/bin/su\n")
	write(t, root, "/etc/login.defs", "ENV_SUPATH PATH=/usr/bin:.::/usr/loose\n")
	for name, mode := range map[string]os.FileMode{
		"/etc/open": 0o666, "/usr/bin/su": 0o755 | os.ModeSetuid, "/usr/bin/own": 0o755 | os.ModeSetgid, "/usr/bin/inert": 0o644 | os.ModeSetuid,
		"/home/me/.rhosts": 0o600, "/home/me/.bashrc": 0o664, "/home/me/.profile": 0o644, "/var/lib/docker/x": 0o666,
	} {
		if err := os.Chmod(write(t, root, name, "x"), mode); err != nil {
			t.Fatal(err)
		}
	}
	for name, mode := range map[string]os.FileMode{"/var/tmp": 0o777 | os.ModeSticky, "/usr/loose": 0o777} {
		if err := os.MkdirAll(filepath.Join(root, name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(filepath.Join(root, name), mode); err != nil {
			t.Fatal(err)
		}
	}
	if os.Geteuid() == 0 {
		if err := os.Chown(write(t, root, "/etc/orphan", "x"), 54321, 0); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink("/etc/open", filepath.Join(root, "etc/link")); err != nil {
		t.Fatal(err)
	}
	fact, err := collectFiles(t.Context(), newProbe(root, time.Now))
	if err != nil {
		t.Fatal(err)
	}
	f := fact.(telemetry.Files)
	for _, c := range []struct {
		what      string
		got, want []string
	}{
		{"world_writable", f.WorldWritable, []string{"/etc/open"}},
		{"sticky_missing", f.StickyMissing, []string{"/usr/loose"}},
		{"setuid", f.SetUID, []string{"/usr/bin/own", "/usr/bin/su"}},
		{"unpackaged_setuid", f.UnpackagedSetUID, []string{"/usr/bin/own"}},
		{"root_path_unsafe", f.RootPathUnsafe, []string{"(empty)", ".", "/usr/loose"}},
		{"dot_files", f.DotFiles, []string{"/home/me/.bashrc", "/home/me/.rhosts"}},
	} {
		if !slices.Equal(c.got, c.want) {
			t.Errorf("%s = %q, want %q", c.what, c.got, c.want)
		}
	}
	if os.Geteuid() == 0 && !slices.Equal(f.Unowned, []string{"/etc/orphan"}) {
		t.Errorf("unowned = %q", f.Unowned)
	}
	if s := f.Files["/var/tmp"]; s.Mode != "1777" {
		t.Errorf("mode of /var/tmp = %s", s.Mode)
	}
}

// TestHostileFiles puts things in the place of files that a reader must not
// hang on or be led astray by.
func TestHostileFiles(t *testing.T) {
	root := t.TempDir()
	p := newProbe(root, time.Now)
	big := write(t, root, "/etc/big", strings.Repeat("x", maxFile+10))
	if b, err := p.read("/etc/big"); err != nil || len(b) != maxFile || len(p.gaps()) != 1 {
		t.Errorf("a file of %s: %d bytes, %v, gaps %v", big, len(b), err, p.gaps())
	}
	if err := os.Mkdir(filepath.Join(root, "etc/dir"), 0o755); err != nil {
		t.Fatal(err)
	}
	if _, err := p.read("/etc/dir"); err == nil {
		t.Error("a directory was read as a file")
	}
	if err := mkfifo(filepath.Join(root, "etc/pipe")); err != nil {
		t.Fatal(err)
	}
	if _, err := p.read("/etc/pipe"); err == nil || !strings.Contains(err.Error(), "not a regular file") {
		t.Errorf("reading a pipe: %v", err)
	}
	// A user may link a device in the place of a file; to open it could make it act.
	if err := os.Symlink("/dev/zero", filepath.Join(root, "etc/device")); err != nil {
		t.Fatal(err)
	}
	if _, err := p.read("/etc/device"); err == nil || !strings.Contains(err.Error(), "not a regular file") {
		t.Errorf("reading a link to a device: %v", err)
	}
	write(t, root, "/etc/sudoers", "@include /etc/sudoers\n")
	if _, err := p.sudoers(); err == nil || !strings.Contains(err.Error(), "visudo -c") {
		t.Errorf("sudoers that include themselves: %v", err)
	}
}

func TestExecute(t *testing.T) {
	out, err := execute(t.Context(), "sh", "-c", "echo $LC_ALL; echo out of the way >&2")
	if err != nil || string(out) != "C\n" {
		t.Errorf("%q, %v", out, err)
	}
	if _, err := execute(t.Context(), "no-such-command-here"); !errors.Is(err, errNoCommand) {
		t.Errorf("a missing command: %v", err)
	}
	if _, err := execute(t.Context(), "sh", "-c", "echo why >&2; exit 3"); err == nil || !strings.Contains(err.Error(), "why") {
		t.Errorf("a failing command: %v", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	start := time.Now()
	// The child holds the output open; it must be killed too.
	if _, err := execute(ctx, "sh", "-c", "sleep 60 & sleep 60"); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a command that hangs: %v", err)
	}
	if took := time.Since(start); took > 5*time.Second {
		t.Errorf("it took %s to end a command that hangs", took)
	}
}
