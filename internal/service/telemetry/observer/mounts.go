package observer

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/demarc/demarc/internal/service/telemetry"
)

const maxMounts = 300

// mount is a line of proc_pid_mountinfo(5).
type mount struct {
	device                 string // major:minor
	target, source, fstype string
	options                []string
}

// networkTypes are file systems that may hang when the server does; they are
// never asked for their size nor walked.
var networkTypes = []string{"nfs", "nfs4", "cifs", "smb3", "9p", "afs", "ceph", "glusterfs", "fuse.sshfs", "fuse.s3fs", "fuse.glusterfs", "autofs", "virtiofs", "lustre", "beegfs"}

// disk reports a file system on local storage.
func (m mount) disk() bool {
	switch m.fstype {
	case "ext2", "ext3", "ext4", "xfs", "btrfs", "zfs", "f2fs", "jfs", "reiserfs", "vfat", "exfat", "ntfs", "ntfs3", "bcachefs", "ecryptfs", "fuse.gocryptfs":
		return true
	}
	return false
}

// shown leaves out what containers and namespaces mount, which comes and goes.
func (m mount) shown() bool {
	switch m.fstype {
	case "nsfs", "squashfs", "overlay", "fuse.portal", "fuse.lxcfs", "binfmt_misc":
		return false
	}
	for _, prefix := range []string{"/var/lib/docker/", "/var/lib/containers/", "/run/containerd/", "/run/user/", "/run/docker/", "/var/lib/kubelet/pods/"} {
		if strings.HasPrefix(m.target, prefix) {
			return false
		}
	}
	return true
}

func (p *probe) mounts() ([]mount, error) {
	b, err := p.read("/proc/self/mountinfo")
	if absent(err) {
		b, err = p.read("/proc/1/mountinfo") // a fixture root has no self
	}
	if err != nil {
		return nil, fmt.Errorf("the mounted file systems cannot be read: %w", err)
	}
	return parseMountInfo(b), nil
}

func parseMountInfo(b []byte) []mount {
	var out []mount
	lines(b, func(_ int, line string) {
		left, right, ok := strings.Cut(line, " - ")
		l, r := strings.Fields(left), strings.Fields(right)
		if !ok || len(l) < 6 || len(r) < 2 || len(out) >= 10*maxMounts {
			return
		}
		options := strings.Split(l[5], ",")
		if len(r) > 2 {
			options = append(options, strings.Split(r[2], ",")...)
		}
		m := mount{device: l[2], target: unescapeMount(l[4]), fstype: r[0], source: unescapeMount(r[1]), options: uniq(options)}
		// What is mounted over another hides it.
		out = slices.DeleteFunc(out, func(o mount) bool { return o.target == m.target })
		out = append(out, m)
	})
	slices.SortFunc(out, func(a, b mount) int { return strings.Compare(a.target, b.target) })
	return out
}

// unescapeMount turns the octal escapes of blanks and backslashes back.
func unescapeMount(s string) string {
	if !strings.Contains(s, `\`) {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+3 < len(s) {
			if n, err := strconv.ParseUint(s[i+1:i+4], 8, 8); err == nil {
				b.WriteByte(byte(n))
				i += 3
				continue
			}
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

// space returns the used share and the size of a file system.
func (p *probe) space(target string) (used float64, size int64, ok bool) {
	var st unix.Statfs_t
	if !p.live || unix.Statfs(p.path(target), &st) != nil || st.Blocks == 0 {
		return 0, 0, false
	}
	// As df(1): what only root may use counts neither as used nor as free.
	taken := st.Blocks - st.Bfree
	return float64(taken) / float64(max(taken+st.Bavail, 1)), int64(st.Blocks) * st.Bsize, true
}

// encryption tells what encrypts the device of a mount, looking through LVM
// and RAID to the devices below.
func (p *probe) encryption(m mount) string {
	switch m.fstype {
	case "ecryptfs":
		return "ecryptfs"
	case "fuse.gocryptfs":
		return "gocryptfs"
	case "zfs":
		return "unknown"
	}
	dir := "/sys/dev/block/" + m.device
	if strings.HasPrefix(m.device, "0:") { // btrfs has no device number of its own
		if dir = p.blockDir(m.source); dir == "" {
			return "none"
		}
	}
	return p.blockEncryption(dir, 0)
}

// blockDir is the sysfs directory of a device file.
func (p *probe) blockDir(source string) string {
	if name, ok := strings.CutPrefix(source, "/dev/mapper/"); ok {
		for _, f := range p.glob("/sys/block/dm-*/dm/name") {
			if p.text(f) == name {
				return strings.TrimSuffix(f, "/dm/name")
			}
		}
		return ""
	}
	if name, ok := strings.CutPrefix(source, "/dev/"); ok {
		for _, dir := range append([]string{"/sys/class/block/" + name}, p.glob("/sys/block/*/"+name)...) {
			if p.exists(dir) {
				return dir
			}
		}
	}
	return ""
}

func (p *probe) blockEncryption(dir string, depth int) string {
	uuid := p.text(dir + "/dm/uuid")
	switch {
	case strings.HasPrefix(uuid, "CRYPT-LUKS"):
		return "luks"
	case strings.HasPrefix(uuid, "CRYPT-"):
		return "dm-crypt"
	}
	slaves, err := p.list(dir + "/slaves")
	if err != nil || len(slaves) == 0 || depth > 5 {
		return "none"
	}
	kind := ""
	for _, s := range slaves {
		k := p.blockEncryption(dir+"/slaves/"+s, depth+1)
		if k == "none" {
			return "none" // one part in the clear is enough
		}
		kind = k
	}
	return kind
}

var separate = []string{"/tmp", "/var", "/var/tmp", "/var/log", "/var/log/audit", "/home", "/dev/shm"}

func collectMounts(ctx context.Context, p *probe) (any, error) {
	all, err := p.mounts()
	if err != nil {
		return nil, err
	}
	var f telemetry.Mounts
	for _, m := range all {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if slices.Contains(separate, m.target) {
			f.SeparateMounts = append(f.SeparateMounts, m.target)
		}
		if !m.shown() {
			continue
		}
		if len(f.Mounts) == maxMounts {
			p.gap("only the first %d mounts are looked at", maxMounts)
			break
		}
		x := telemetry.Mount{Target: m.target, Source: m.source, Type: m.fstype, Options: m.options, Encryption: "none"}
		if m.disk() {
			x.Encryption = p.encryption(m)
		}
		if !slices.Contains(networkTypes, m.fstype) && !strings.HasPrefix(m.fstype, "fuse") {
			_, x.SizeBytes, _ = p.space(m.target)
		}
		if x.Encryption != "none" && x.Encryption != "unknown" {
			f.EncryptedPaths = append(f.EncryptedPaths, m.target)
			f.RootEncrypted = f.RootEncrypted || m.target == "/"
		}
		if p.removable(m) {
			f.RemovableMounts = append(f.RemovableMounts, m.target)
		}
		f.Mounts = append(f.Mounts, x)
	}
	f.SwapEncrypted = swapEncrypted(p, all)
	return f, nil
}

func (p *probe) removable(m mount) bool {
	if strings.HasPrefix(m.target, "/media/") || strings.HasPrefix(m.target, "/run/media/") {
		return true
	}
	dir := "/sys/dev/block/" + m.device
	return p.text(dir+"/removable") == "1" || p.text(dir+"/../removable") == "1"
}

// swapEncrypted looks at every swap area; zram never leaves memory.
func swapEncrypted(p *probe, all []mount) bool {
	encrypted := true
	lines([]byte(p.config("/proc/swaps")), func(n int, line string) {
		w := strings.Fields(line)
		if n == 1 || len(w) < 2 || strings.HasPrefix(w[0], "/dev/zram") {
			return
		}
		if w[1] == "partition" {
			dir := p.blockDir(w[0])
			encrypted = encrypted && dir != "" && p.blockEncryption(dir, 0) != "none"
			return
		}
		m := mountOf(all, unescapeMount(w[0]))
		encrypted = encrypted && p.encryption(m) != "none"
	})
	return encrypted
}

// mountOf is the mount that holds a path.
func mountOf(all []mount, path string) (best mount) {
	for _, m := range all {
		if (m.target == "/" || path == m.target || strings.HasPrefix(path, m.target+"/")) && len(m.target) >= len(best.target) {
			best = m
		}
	}
	return best
}
