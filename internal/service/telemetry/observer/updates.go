package observer

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/demarc/demarc/internal/service/telemetry"
)

const maxUpdates = 500

func collectUpdates(ctx context.Context, p *probe) (any, error) {
	inv, err := p.inventory(ctx)
	if err != nil {
		return nil, err
	}
	switch inv.manager {
	case "dpkg":
		return aptUpdates(ctx, p)
	case "rpm":
		return dnfUpdates(ctx, p)
	}
	return nil, fmt.Errorf("waiting updates are seen with apt and dnf only; this machine uses %s", inv.manager)
}

// pendingUpdates is the result of asking the package manager once.
type pendingUpdates struct {
	pending  int
	security []telemetry.Update
	seen     map[string]time.Time // by name and candidate
}

func aptUpdates(ctx context.Context, p *probe) (any, error) {
	f := telemetry.Updates{Manager: "dpkg", ListsAgeHours: -1}
	for _, s := range p.aptSources() {
		f.SecuritySource = f.SecuritySource || strings.Contains(s.suite, "-security") || strings.Contains(s.uri, "security.debian.org")
		f.Unauthenticated = f.Unauthenticated || s.trusted
	}
	conf := p.aptConfig()
	f.Unauthenticated = f.Unauthenticated || truth(conf["apt::get::allowunauthenticated"]) || truth(conf["acquire::allowinsecurerepositories"])
	_, unattended := p.installed(ctx)["unattended-upgrades"]
	f.Automatic = unattended && truth(conf["apt::periodic::unattended-upgrade"]) && truth(conf["apt::periodic::update-package-lists"])
	lists := p.glob("/var/lib/apt/lists/*_Packages*")
	if len(lists) == 0 {
		p.gap("there are no package lists, so waiting updates are not known; apt-get update fetches them")
		return f, nil
	}
	f.ListsAt = p.newest(append(p.glob("/var/lib/apt/lists/*Release"), "/var/lib/apt/lists", "/var/lib/apt/lists/partial", "/var/lib/apt/periodic/update-success-stamp")...)
	f.ListsAgeHours = max(int(p.now().Sub(f.ListsAt).Hours()), 0)
	watched := append(lists, dpkgStatus, "/etc/apt/preferences", "/etc/apt/preferences.d", "/etc/apt/sources.list", "/etc/apt/sources.list.d")
	got, err := p.pending("apt", p.stamp(watched...), func() (*pendingUpdates, error) {
		args := []string{"-s", "-q", "-o", "Debug::NoLocking=1", "-o", "Dir::Cache::srcpkgcache=", "--with-new-pkgs"}
		if cache := p.newest("/var/cache/apt/pkgcache.bin"); cache.IsZero() || cache.Before(p.newest(watched...)) {
			// apt would write a stale cache anew; without one it works in memory, which takes longer.
			args = append(args, "-o", "Dir::Cache::pkgcache=")
		}
		b, err := p.run(ctx, "apt-get", append(args, "upgrade")...)
		if errors.Is(err, errNoCommand) {
			return nil, errors.New("apt-get is not installed, so waiting updates are not known")
		}
		if err != nil {
			return nil, fmt.Errorf("waiting updates are not known: %w; apt-get -s upgrade shows what is wrong", err)
		}
		return parseAptSimulation(b), nil
	}, func() time.Time {
		return p.newest(filter(lists, func(l string) bool { return strings.Contains(l, "security") })...)
	})
	if err != nil {
		return nil, err
	}
	got.into(&f, p.now())
	return f, nil
}

// pending asks ask again only when stamp changed, and keeps when each security
// update was first seen. published is when the list that an update was first
// found in had been made: the update waits at least since then.
func (p *probe) pending(name, stamp string, ask func() (*pendingUpdates, error), published func() time.Time) (*pendingUpdates, error) {
	history, _ := remember(p, name+" history", "", func() (*map[string]time.Time, error) { return p.recall(name), nil })
	return remember(p, name+" updates", stamp, func() (*pendingUpdates, error) {
		got, err := ask()
		if err != nil {
			return nil, err
		}
		since := p.now()
		if t := published(); !t.IsZero() && t.Before(since) {
			since = t
		}
		seen := map[string]time.Time{}
		for _, u := range got.security {
			// A newer candidate of the same package does not restart the wait.
			key := u.Name + " " + u.Installed
			seen[key] = since
			if t, ok := (*history)[key]; ok {
				seen[key] = t
			}
		}
		if !maps.Equal(*history, seen) {
			p.keep(name, seen)
		}
		*history, got.seen = seen, seen
		return got, nil
	})
}

func (u *pendingUpdates) into(f *telemetry.Updates, now time.Time) {
	f.Pending, f.PendingSecurity = u.pending, len(u.security)
	f.Security = u.security[:min(len(u.security), maxUpdates)]
	for _, t := range u.seen {
		if f.OldestSecurity.IsZero() || t.Before(f.OldestSecurity) {
			f.OldestSecurity = t
		}
	}
	if !f.OldestSecurity.IsZero() {
		f.OldestDays = int(now.Sub(f.OldestSecurity).Hours() / 24)
	}
}

// aptInst is a line of apt-get -s: "Inst name [old] (new origins [arch])".
var aptInst = regexp.MustCompile(`^Inst (\S+) \[([^\]]+)\] \((\S+) ([^)]*?)(?: \[[^\]]*\])?\)`)

// parseAptSimulation counts the packages that have a newer version. An update
// is one of security if any archive that offers it is a security archive.
func parseAptSimulation(b []byte) *pendingUpdates {
	out := &pendingUpdates{}
	lines(b, func(_ int, line string) {
		m := aptInst.FindStringSubmatch(line)
		if m == nil {
			return
		}
		out.pending++
		if strings.Contains(strings.ToLower(m[4]), "-security") && len(out.security) < 10*maxUpdates {
			out.security = append(out.security, telemetry.Update{Name: m[1], Installed: m[2], Candidate: m[3]})
		}
	})
	slices.SortFunc(out.security, func(a, b telemetry.Update) int { return strings.Compare(a.Name, b.Name) })
	return out
}

func dnfUpdates(ctx context.Context, p *probe) (any, error) {
	f := telemetry.Updates{Manager: "rpm", ListsAgeHours: -1}
	for _, file := range p.glob("/etc/yum.repos.d/*.repo") {
		for _, r := range parseINI([]byte(p.config(file))) {
			if r["enabled"] == "0" {
				continue
			}
			f.SecuritySource = true // advisories come with the packages' own repositories
			f.Unauthenticated = f.Unauthenticated || r["gpgcheck"] == "0"
		}
	}
	for _, s := range parseINI([]byte(p.config("/etc/dnf/automatic.conf"))) {
		if truth(s["apply_updates"]) {
			u, err := p.units()
			f.Automatic = err == nil && (u.enabled["dnf-automatic.timer"] || u.enabled["dnf-automatic-install.timer"])
		}
	}
	if u, err := p.units(); err == nil && u.enabled["dnf-automatic-install.timer"] {
		f.Automatic = true
	}
	lists := append(p.glob("/var/cache/dnf/*/repodata/repomd.xml"), p.glob("/var/cache/libdnf5/*/repodata/repomd.xml")...)
	if len(lists) == 0 {
		p.gap("there is no repository metadata, so waiting updates are not known; dnf makecache fetches it")
		return f, nil
	}
	f.ListsAt = p.newest(lists...)
	f.ListsAgeHours = max(int(p.now().Sub(f.ListsAt).Hours()), 0)
	watched := append(lists, p.glob("/var/lib/rpm/rpmdb.sqlite")...)
	got, err := p.pending("dnf", p.stamp(watched...), func() (*pendingUpdates, error) {
		all, err := p.run(ctx, "dnf", "-q", "-C", "list", "--upgrades")
		if err != nil && len(all) == 0 {
			return nil, fmt.Errorf("waiting updates are not known: %w; dnf -C list --upgrades shows what is wrong", err)
		}
		security, err := p.run(ctx, "dnf", "-q", "-C", "list", "--upgrades", "--security")
		if err != nil && len(all) == 0 {
			return nil, fmt.Errorf("waiting security updates are not known: %w", err)
		}
		return parseDnfUpdates(all, security, p.installed(ctx)), nil
	}, func() time.Time { return f.ListsAt })
	if err != nil {
		return nil, err
	}
	got.into(&f, p.now())
	return f, nil
}

// parseDnfUpdates parses "name.arch version repository" lines of both lists.
func parseDnfUpdates(all, security []byte, installed map[string]telemetry.Package) *pendingUpdates {
	parse := func(b []byte) []telemetry.Update {
		var out []telemetry.Update
		lines(b, func(_ int, line string) {
			f := strings.Fields(line)
			if len(f) != 3 || len(out) >= 10*maxUpdates {
				return
			}
			i := strings.LastIndexByte(f[0], '.')
			if i <= 0 {
				return
			}
			out = append(out, telemetry.Update{Name: f[0][:i], Installed: installed[f[0][:i]].Version, Candidate: f[1]})
		})
		slices.SortFunc(out, func(a, b telemetry.Update) int { return strings.Compare(a.Name, b.Name) })
		return slices.Compact(out)
	}
	return &pendingUpdates{pending: len(parse(all)), security: parse(security)}
}

// parseINI returns the sections of an INI file in order; names in lower case.
func parseINI(b []byte) []map[string]string {
	var out []map[string]string
	lines(b, func(_ int, line string) {
		switch {
		case line == "" || line[0] == '#' || line[0] == ';':
		case line[0] == '[':
			if len(out) < 1000 {
				out = append(out, map[string]string{"": strings.Trim(line, "[]")})
			}
		case len(out) > 0:
			if k, v, ok := strings.Cut(line, "="); ok {
				out[len(out)-1][strings.ToLower(strings.TrimSpace(k))] = strings.TrimSpace(v)
			}
		}
	})
	return out
}

// truth reads the ways in which configuration files say yes.
func truth(s string) bool {
	switch strings.ToLower(strings.TrimSpace(s)) {
	case "", "0", "no", "false", "off", "never":
		return false
	}
	return true
}

// newest is the latest time of modification among the files that exist.
func (p *probe) newest(names ...string) time.Time {
	var t time.Time
	for _, n := range names {
		if info, err := p.stat(n); err == nil && info.ModTime().After(t) {
			t = info.ModTime()
		}
	}
	return t
}
