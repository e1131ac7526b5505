package observer

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/demarc/demarc/internal/service/telemetry"
)

const (
	maxPackages   = 8000
	dpkgStatus    = "/var/lib/dpkg/status"
	apkInstalled  = "/lib/apk/db/installed"
	maxPackageDB  = 64 << 20
	rpmQuery      = `%{NAME}\t%{EPOCHNUM}:%{VERSION}-%{RELEASE}\t%{ARCH}\t%{SOURCERPM}\n`
	rpmUnknownErr = "this machine has an RPM database but no rpm command that can read it; install the package rpm"
)

// rpmDirs are where the RPM database lies, by distribution and age.
var rpmDirs = []string{"/usr/lib/sysimage/rpm", "/var/lib/rpm"}

// inventory is the installed software by name.
type inventory struct {
	manager string
	list    []telemetry.Package
	byName  map[string]telemetry.Package
}

// inventory reads the package database, again only when it changed.
func (p *probe) inventory(ctx context.Context) (*inventory, error) {
	switch {
	case p.exists(dpkgStatus):
		return remember(p, "packages", p.stamp(dpkgStatus), func() (*inventory, error) {
			b, err := p.readUpTo(dpkgStatus, maxPackageDB)
			if err != nil {
				return nil, err
			}
			return newInventory("dpkg", parseDpkg(b)), nil
		})
	case p.exists(apkInstalled):
		return remember(p, "packages", p.stamp(apkInstalled), func() (*inventory, error) {
			b, err := p.readUpTo(apkInstalled, maxPackageDB)
			if err != nil {
				return nil, err
			}
			return newInventory("apk", parseApk(b)), nil
		})
	}
	for _, dir := range rpmDirs {
		if files := p.glob(dir + "/*"); slices.ContainsFunc(files, isRPMDatabase) {
			return remember(p, "packages", p.stamp(files...), func() (*inventory, error) {
				b, err := p.run(ctx, "rpm", "-qa", "--qf", rpmQuery)
				if errors.Is(err, errNoCommand) {
					return nil, errors.New(rpmUnknownErr)
				}
				if err != nil {
					return nil, fmt.Errorf("listing packages: %w", err)
				}
				return newInventory("rpm", parseRPM(b)), nil
			})
		}
	}
	return newInventory("none", nil), nil
}

func isRPMDatabase(path string) bool {
	switch baseName(path) {
	case "rpmdb.sqlite", "Packages", "Packages.db":
		return true
	}
	return false
}

func newInventory(manager string, list []telemetry.Package) *inventory {
	slices.SortFunc(list, func(a, b telemetry.Package) int {
		return cmp.Or(strings.Compare(a.Name, b.Name), strings.Compare(a.Arch, b.Arch), strings.Compare(a.Version, b.Version))
	})
	inv := &inventory{manager: manager, list: list, byName: make(map[string]telemetry.Package, len(list))}
	for _, x := range list {
		inv.byName[x.Name] = x
	}
	return inv
}

// installed returns the packages by name; none if the database cannot be read.
func (p *probe) installed(ctx context.Context) map[string]telemetry.Package {
	inv, err := p.inventory(ctx)
	if err != nil {
		p.gap("installed packages are not seen: %s", err)
		return nil
	}
	return inv.byName
}

func collectPackages(ctx context.Context, p *probe) (any, error) {
	inv, err := p.inventory(ctx)
	if err != nil {
		return nil, err
	}
	if inv.manager == "none" {
		p.gap("no package database was found (dpkg, rpm and apk are known)")
	}
	f := telemetry.Packages{Manager: inv.manager, Count: len(inv.list), Packages: inv.list}
	if len(f.Packages) > maxPackages {
		p.gap("only the first %d of %d packages are listed", maxPackages, len(f.Packages))
		f.Packages = f.Packages[:maxPackages]
	}
	return f, nil
}

// parseDpkg parses /var/lib/dpkg/status (deb822(5)) and keeps the packages
// that are unpacked: those removed with their configuration kept are not.
func parseDpkg(b []byte) []telemetry.Package {
	var out []telemetry.Package
	var x telemetry.Package
	status := ""
	flush := func() {
		if x.Name != "" && x.Version != "" && dpkgUnpacked(status) && len(out) < 10*maxPackages {
			out = append(out, x)
		}
		x, status = telemetry.Package{}, ""
	}
	stanzas(b, func(field, value string) {
		switch field {
		case "":
			flush()
		case "package":
			x.Name = value
		case "version":
			x.Version = value
		case "architecture":
			x.Arch = value
		case "status":
			status = value
		case "source":
			x.Source, _ = cutWord(value)
		}
	})
	return out
}

func dpkgUnpacked(status string) bool {
	f := strings.Fields(status)
	if len(f) != 3 {
		return false
	}
	switch f[2] {
	case "installed", "unpacked", "half-configured", "triggers-awaited", "triggers-pending":
		return true
	}
	return false
}

// stanzas calls f with the fields of deb822(5) paragraphs, names in lower
// case, and with ("", "") at the end of each. Continuation lines are left out.
func stanzas(b []byte, f func(field, value string)) {
	open := false
	rest := b
	for len(rest) > 0 {
		var line []byte
		if i := bytes.IndexByte(rest, 0x0a); i >= 0 {
			line, rest = rest[:i], rest[i+1:]
		} else {
			line, rest = rest, nil
		}
		text := strings.TrimRight(string(line), "\r \t")
		switch {
		case text == "":
			if open {
				f("", "")
			}
			open = false
		case line[0] == ' ' || line[0] == '\t' || line[0] == '#':
		default:
			if name, value, ok := strings.Cut(text, ":"); ok && name != "" {
				f(strings.ToLower(name), strings.TrimSpace(value))
				open = true
			}
		}
	}
	if open {
		f("", "")
	}
}

// parseApk parses the installed database of apk-tools: one letter, a colon
// and a value a line.
func parseApk(b []byte) []telemetry.Package {
	var out []telemetry.Package
	var x telemetry.Package
	flush := func() {
		if x.Name != "" && x.Version != "" && len(out) < 10*maxPackages {
			out = append(out, x)
		}
		x = telemetry.Package{}
	}
	lines(b, func(_ int, line string) {
		key, value, ok := strings.Cut(line, ":")
		if !ok {
			flush()
			return
		}
		switch key {
		case "P":
			x.Name = value
		case "V":
			x.Version = value
		case "A":
			x.Arch = value
		case "o":
			x.Source = value
		}
	})
	flush()
	return out
}

// parseRPM parses the output of rpm -qa in the form of rpmQuery. The keys of
// archives that rpm lists as gpg-pubkey are no packages.
func parseRPM(b []byte) []telemetry.Package {
	var out []telemetry.Package
	lines(b, func(_ int, line string) {
		f := strings.Split(line, "\t")
		if len(f) != 4 || f[0] == "gpg-pubkey" || len(out) >= 10*maxPackages {
			return
		}
		out = append(out, telemetry.Package{
			Name: f[0], Version: strings.TrimPrefix(f[1], "0:"), Arch: f[2],
			Source: rpmSource(f[3]),
		})
	})
	return out
}

// rpmSource is the name in "name-version-release.src.rpm".
func rpmSource(file string) string {
	file = strings.TrimSuffix(file, ".src.rpm")
	for range 2 {
		i := strings.LastIndexByte(file, '-')
		if i < 0 {
			return ""
		}
		file = file[:i]
	}
	return file
}
