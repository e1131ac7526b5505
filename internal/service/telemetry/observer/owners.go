package observer

import (
	"bytes"
	"context"
	"strings"
)

// owners tells which package installed each of the paths. known is false if
// the package manager cannot be asked.
func (p *probe) owners(ctx context.Context, paths []string) (owner map[string]string, known bool) {
	if len(paths) == 0 {
		return nil, true
	}
	inv, err := p.inventory(ctx)
	if err != nil {
		return nil, false
	}
	switch inv.manager {
	case "dpkg":
		key := p.stamp(dpkgStatus) + strings.Join(paths, "\n")
		owner, _ = remember(p, "owners "+paths[0], key, func() (map[string]string, error) {
			return p.dpkgOwners(ctx, paths), nil
		})
		return owner, true
	case "rpm":
		var db []string
		for _, dir := range rpmDirs {
			db = append(db, p.glob(dir+"/*")...)
		}
		owner, err = remember(p, "owners "+paths[0], p.stamp(db...)+strings.Join(paths, "\n"), func() (map[string]string, error) {
			return p.rpmOwners(ctx, paths)
		})
		return owner, err == nil
	}
	return nil, false
}

// dpkgOwners looks through the file lists of all packages. A list may name a
// file by its place before /usr was merged.
func (p *probe) dpkgOwners(ctx context.Context, paths []string) map[string]string {
	wanted := map[string]string{}
	for _, path := range paths {
		wanted[path] = path
		if short, ok := strings.CutPrefix(path, "/usr"); ok {
			wanted[short] = path
		} else {
			wanted["/usr"+path] = path
		}
	}
	out := map[string]string{}
	for _, list := range p.glob("/var/lib/dpkg/info/*.list") {
		if ctx.Err() != nil {
			break
		}
		b, err := p.readUpTo(list, 16<<20)
		if err != nil {
			continue
		}
		name, _, _ := strings.Cut(strings.TrimSuffix(baseName(list), ".list"), ":")
		for len(b) > 0 {
			var line []byte
			line, b, _ = bytes.Cut(b, []byte{'\n'})
			if path, ok := wanted[string(line)]; ok {
				out[path] = name
			}
		}
	}
	return out
}

// rpmOwners asks rpm once for all paths; it answers a line for each, in order.
func (p *probe) rpmOwners(ctx context.Context, paths []string) (map[string]string, error) {
	args := append([]string{"-qf", "--qf", `%{NAME}\n`}, paths...)
	b, err := p.run(ctx, "rpm", args...) // fails if any path is unowned; the output counts
	answers := strings.Split(strings.TrimSpace(string(b)), "\n")
	if len(answers) != len(paths) {
		return nil, err
	}
	out := map[string]string{}
	for i, a := range answers {
		if !strings.Contains(a, " ") {
			out[paths[i]] = a
		}
	}
	return out, nil
}
