package observer

import (
	"bytes"
	"context"
	"slices"
	"strings"

	"github.com/demarc/demarc/internal/service/telemetry"
)

// seldomNeeded are the modules that baselines bar, by their file name with underscores.
var seldomNeeded = []string{
	"cramfs", "freevxfs", "hfs", "hfsplus", "jffs2", "overlay", "squashfs", "udf", "usb_storage", "vfat", "afs", "ceph", "cifs", "exfat",
	"fscache", "gfs2", "nfs_common", "nfsd", "smbfs_common", "fuse", "atm", "can", "dccp", "rds", "sctp", "tipc", "firewire_core",
	"firewire_ohci", "thunderbolt", "bluetooth", "btusb", "uvcvideo", "n_hdlc", "ax25", "netrom", "x25", "rose", "decnet", "appletalk",
	"ipx", "p8022", "p8023", "psnap", "af_802154", "vivid",
}

func collectModules(_ context.Context, p *probe) (any, error) {
	var f telemetry.Modules
	b, err := p.readUpTo("/proc/modules", 4<<20)
	if err != nil && !absent(err) {
		return nil, err
	}
	if absent(err) && !p.exists("/proc/sys/kernel/tainted") {
		return nil, err
	}
	// A kernel built without modules has no such file: then none is loaded.
	lines(b, func(_ int, line string) {
		if name, _ := cutWord(line); name != "" && len(f.Loaded) < 5000 {
			f.Loaded = append(f.Loaded, name)
		}
	})
	slices.Sort(f.Loaded)
	for _, dir := range []string{"/etc/modprobe.d", "/run/modprobe.d", "/usr/local/lib/modprobe.d", "/usr/lib/modprobe.d", "/lib/modprobe.d"} {
		for _, file := range p.glob(dir + "/*.conf") {
			f.Blocked = append(f.Blocked, parseModprobe([]byte(p.config(file)))...)
		}
	}
	f.Blocked = uniq(f.Blocked)
	release := p.kernelRelease()
	f.Available, _ = remember(p, "modules", p.stamp("/lib/modules/"+release+"/modules.dep"), func() ([]string, error) {
		return availableModules(p, release), nil
	})
	f.Tainted = number(p.text("/proc/sys/kernel/tainted"), 0)
	return f, nil
}

// moduleLoaded reports whether a module is loaded or part of the kernel. It
// says yes where that cannot be told.
func (p *probe) moduleLoaded(name string) bool {
	loaded, err := p.readUpTo("/proc/modules", 4<<20)
	if err != nil || bytes.HasPrefix(loaded, []byte(name+" ")) || bytes.Contains(loaded, []byte("\n"+name+" ")) {
		return true // a kernel without modules has no such file
	}
	dir := "/lib/modules/" + p.kernelRelease()
	builtin, err := remember(p, "builtin modules", p.stamp(dir+"/modules.builtin"), func() ([]byte, error) {
		return p.readUpTo(dir+"/modules.builtin", 4<<20)
	})
	return err != nil || bytes.Contains(builtin, []byte("/"+name+".ko"))
}

// parseModprobe returns the modules that modprobe.d(5) keeps from loading.
func parseModprobe(b []byte) []string {
	var out []string
	for _, line := range joinedLines(b) {
		w := strings.Fields(line)
		if len(out) >= 5000 || len(w) < 2 {
			continue
		}
		switch w[0] {
		case "blacklist":
			out = append(out, underscored(w[1]))
		case "install":
			if len(w) > 2 && (baseName(w[2]) == "false" || baseName(w[2]) == "true") {
				out = append(out, underscored(w[1]))
			}
		}
	}
	return out
}

func underscored(module string) string { return strings.ReplaceAll(module, "-", "_") }

func availableModules(p *probe, release string) []string {
	var out []string
	for _, name := range []string{"modules.dep", "modules.builtin"} {
		b, err := p.readUpTo("/lib/modules/"+release+"/"+name, 8<<20)
		if err != nil {
			continue
		}
		lines(b, func(_ int, line string) {
			file, _, _ := strings.Cut(line, ":")
			module, _, _ := strings.Cut(baseName(file), ".ko")
			if module = underscored(module); slices.Contains(seldomNeeded, module) {
				out = append(out, module)
			}
		})
	}
	return uniq(out)
}
