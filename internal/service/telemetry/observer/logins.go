package observer

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/demarc/demarc/internal/service/telemetry"
)

const (
	loginWindow   = 24 * time.Hour
	maxLogins     = 200
	maxCounted    = 50
	maxLoginMarks = 20000 // attempts kept in memory
)

// attempt is one login or failed login.
type attempt struct {
	at                        time.Time
	user, source, method, key string
	certificate, authority    string // of a login by certificate
	ok                        bool
	// connection joins what one connection said twice; implied marks an
	// attempt that counts only if the same connection says nothing clearer.
	connection string
	implied    bool
}

func collectLogins(ctx context.Context, p *probe) (any, error) {
	source, attempts, err := p.attempts(ctx)
	if err != nil {
		return nil, err
	}
	f := telemetry.Logins{Available: source != "", Source: source, WindowHours: int(loginWindow.Hours())}
	if source == "" {
		p.gap("logins are not seen: neither the journal nor an auth log nor wtmp can be read")
		return f, nil
	}
	acc, _ := p.accounts()
	summarize(&f, attempts, acc, p.now())
	return f, nil
}

// attempts reads the first source that there is.
func (p *probe) attempts(ctx context.Context) (source string, out []attempt, err error) {
	if p.systemd() && p.anyExists("/var/log/journal", "/run/log/journal") != "" && p.journalReadable() {
		out, err = p.journalAttempts(ctx)
		if err == nil {
			return "journal", out, nil
		}
		if !errors.Is(err, errNoCommand) {
			p.gap("the journal cannot be read: %s", err)
		}
	}
	if name := p.anyExists("/var/log/auth.log", "/var/log/secure"); name != "" {
		out, err = remember(p, "auth log", p.stamp(name, name+".1"), func() ([]attempt, error) {
			b, err := p.tail(name, maxAuthLog)
			if err != nil {
				return nil, err
			}
			old, _ := p.tail(name+".1", maxAuthLog)
			return append(parseAuthLog(old, p.now()), parseAuthLog(b, p.now())...), nil
		})
		if err == nil {
			return "auth log", out, nil
		}
		p.gap("%s", err)
	}
	records, err := p.utmpFile("/var/log/wtmp")
	if err != nil {
		p.gapUnlessAbsent(err)
		return "", nil, nil
	}
	for _, r := range records {
		if r.kind == utmpUser {
			out = append(out, attempt{at: r.at, user: r.user, source: remote(r.host), ok: true})
		}
	}
	failed, err := p.utmpFile("/var/log/btmp")
	if err != nil {
		p.gap("failed logins are not seen: %s", err)
	}
	for _, r := range failed {
		out = append(out, attempt{at: r.at, user: r.user, source: remote(r.host)})
	}
	return "wtmp", out, nil
}

// journalReadable notes a gap if the system's journal is there and may not be
// read: journalctl then shows the user's own entries without a word.
func (p *probe) journalReadable() bool {
	for _, name := range append(p.glob("/var/log/journal/*/system.journal"), p.glob("/run/log/journal/*/system.journal")...) {
		f, err := os.Open(p.path(name))
		if err != nil {
			p.gapUnlessAbsent(plain(name, err))
			return false
		}
		f.Close()
	}
	return true
}

// remote drops what is no address of elsewhere, such as a display.
func remote(host string) string {
	if strings.HasPrefix(host, ":") && !strings.Contains(host[1:], ":") {
		return ""
	}
	return host
}

// summarize fills f from the attempts of the window. Names that are no
// accounts are not kept: people type passwords where the name belongs.
func summarize(f *telemetry.Logins, attempts []attempt, acc *accounts, now time.Time) {
	names := map[string]bool{}
	if acc != nil {
		for _, u := range acc.users {
			names[u.name] = true
		}
	}
	said := map[string]bool{}
	for _, a := range attempts {
		if !a.implied && a.connection != "" {
			said[a.connection] = true
		}
	}
	byUser, bySource, keys := map[string]int{}, map[string]int{}, map[string]map[string]bool{}
	for _, a := range attempts {
		if now.Sub(a.at) > loginWindow || a.at.After(now.Add(time.Hour)) || a.implied && said[a.connection] {
			continue
		}
		user := a.user
		if !names[user] {
			user = "(no such account)"
		}
		if !a.ok {
			f.Failed++
			byUser[user]++
			if a.source != "" {
				bySource[a.source]++
			}
			continue
		}
		f.Logins = append(f.Logins, telemetry.Login{
			User: a.user, Source: a.source, Method: a.method, Key: a.key, Certificate: a.certificate, Authority: a.authority, At: a.at,
		})
		if a.source != "" {
			f.RemoteSources = append(f.RemoteSources, a.source)
			if a.user == "root" {
				f.RootLogins++
			}
		}
		if a.key != "" {
			if keys[a.user] == nil {
				keys[a.user] = map[string]bool{}
			}
			keys[a.user][a.key] = true
		}
	}
	for user, k := range keys {
		if len(k) > 1 {
			f.SharedAccounts = append(f.SharedAccounts, user)
		}
	}
	slices.SortFunc(f.Logins, func(a, b telemetry.Login) int {
		return cmp.Or(b.At.Compare(a.At), strings.Compare(a.User, b.User), strings.Compare(a.Source, b.Source))
	})
	f.Logins = f.Logins[:min(len(f.Logins), maxLogins)]
	f.RemoteSources, f.SharedAccounts = uniq(f.RemoteSources), uniq(f.SharedAccounts)
	f.RemoteSources = f.RemoteSources[:min(len(f.RemoteSources), 500)]
	f.FailedByUser, f.FailedBySource = top(byUser), top(bySource)
}

// top keeps the names with the highest counts.
func top(counts map[string]int) map[string]int {
	names := make([]string, 0, len(counts))
	for n := range counts {
		names = append(names, n)
	}
	slices.SortFunc(names, func(a, b string) int { return cmp.Or(cmp.Compare(counts[b], counts[a]), strings.Compare(a, b)) })
	out := map[string]int{}
	for _, n := range names[:min(len(names), maxCounted)] {
		out[n] = counts[n]
	}
	return out
}

// journalMark is how far the journal was read.
type journalMark struct {
	cursor   string
	attempts []attempt
}

// journalAttempts reads what is new in the journal. Only entries that root
// wrote count: anybody can log under the name of sshd.
func (p *probe) journalAttempts(ctx context.Context) ([]attempt, error) {
	m, _ := remember(p, "journal", "", func() (*journalMark, error) { return &journalMark{}, nil })
	c := p.memory.cell("journal lock")
	c.mu.Lock()
	defer c.mu.Unlock()
	args := []string{"-q", "--no-pager", "-o", "json", "--output-fields=MESSAGE", "-n", fmt.Sprint(maxLoginMarks)}
	if m.cursor != "" {
		args = append(args, "--after-cursor="+m.cursor)
	} else {
		args = append(args, "--since=-"+fmt.Sprint(int(loginWindow.Hours()))+"h")
	}
	args = append(args, "_UID=0", "-t", "sshd", "-t", "sshd-session", "-t", "login")
	b, err := p.run(ctx, "journalctl", args...)
	if err != nil {
		m.cursor, m.attempts = "", nil // the cursor may be gone with its file
		return nil, err
	}
	attempts, cursor := parseJournal(b)
	if cursor != "" {
		m.cursor = cursor
	}
	cut := p.now().Add(-loginWindow)
	m.attempts = slices.DeleteFunc(append(m.attempts, attempts...), func(a attempt) bool { return a.at.Before(cut) })
	if n := len(m.attempts); n > maxLoginMarks {
		p.gap("only the latest %d login attempts are looked at", maxLoginMarks)
		m.attempts = slices.Clone(m.attempts[n-maxLoginMarks:])
	}
	return slices.Clone(m.attempts), nil
}
