package observer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

const (
	// maxWalk bounds the files that one walk looks at.
	maxWalk = 600_000
	// maxFound bounds each list of a walk, maxSetUID that of setuid programs.
	maxFound  = 100
	maxSetUID = 500
)

// systemDirs are walked. Homes are left out: they hold their owners' own files.
var systemDirs = []string{"/etc", "/usr", "/bin", "/sbin", "/lib", "/lib64", "/boot", "/opt", "/srv", "/var", "/tmp"}

// skipDirs hold copies of other systems, or change without end.
var skipDirs = []string{"/var/lib/docker", "/var/lib/containers", "/var/lib/containerd", "/var/lib/kubelet", "/var/lib/lxc", "/var/lib/lxd",
	"/var/lib/machines", "/var/lib/flatpak", "/var/lib/snapd", "/var/lib/libvirt/images", "/var/cache", "/usr/share/doc", "/usr/share/man", "/usr/share/locale"}

// walker looks at every file below the system directories that lies on a
// local disk, and gathers what is set up dangerously. It follows no links.
type walker struct {
	acc   *accounts
	root  string
	disks []string // device numbers of local disks, major:minor

	looked, denied                    int
	cut                               bool
	writable, sticky, unowned, setuid []string
}

func (w *walker) walk(ctx context.Context, dirs []string) {
	for _, dir := range dirs {
		var st unix.Stat_t
		// A merged /bin is a link to /usr/bin, which is walked itself.
		if err := unix.Lstat(filepath.Join(w.root, dir), &st); err != nil || st.Mode&unix.S_IFMT != unix.S_IFDIR {
			continue
		}
		w.look(dir, &st)
		w.directory(ctx, dir, st.Dev)
	}
}

// directory walks one directory; dev is the device of its parent. Another
// device is entered only if it is a local disk.
func (w *walker) directory(ctx context.Context, dir string, dev uint64) {
	if slices.Contains(skipDirs, dir) || ctx.Err() != nil || w.cut {
		return
	}
	f, err := os.OpenFile(filepath.Join(w.root, dir), os.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW, 0)
	if err != nil {
		if errors.Is(err, os.ErrPermission) {
			w.denied++
		}
		return
	}
	defer f.Close()
	var below []string
	var st unix.Stat_t
	for {
		names, err := f.Readdirnames(1000)
		for _, name := range names {
			if unix.Fstatat(int(f.Fd()), name, &st, unix.AT_SYMLINK_NOFOLLOW) != nil {
				continue
			}
			if w.looked++; w.looked > maxWalk {
				w.cut = true
				return
			}
			w.look(dir+"/"+name, &st)
			if st.Mode&unix.S_IFMT == unix.S_IFDIR && (st.Dev == dev || w.local(st.Dev)) {
				below = append(below, name)
			}
		}
		if err != nil {
			if !errors.Is(err, io.EOF) {
				w.denied++
			}
			break
		}
		if ctx.Err() != nil {
			return
		}
	}
	f.Close()
	for _, name := range below {
		w.directory(ctx, dir+"/"+name, dev)
	}
}

func (w *walker) local(dev uint64) bool {
	return slices.Contains(w.disks, fmt.Sprintf("%d:%d", unix.Major(dev), unix.Minor(dev)))
}

// look notes what is wrong with one file.
func (w *walker) look(name string, st *unix.Stat_t) {
	kind := st.Mode & unix.S_IFMT
	if kind != unix.S_IFREG && kind != unix.S_IFDIR {
		return
	}
	add := func(list *[]string, limit int) {
		if len(*list) < limit {
			*list = append(*list, strings.Clone(name))
		}
	}
	if st.Mode&0o002 != 0 {
		if kind == unix.S_IFREG {
			add(&w.writable, maxFound)
		} else if st.Mode&unix.S_ISVTX == 0 {
			add(&w.sticky, maxFound)
		}
	}
	if kind == unix.S_IFREG && st.Mode&(unix.S_ISUID|unix.S_ISGID) != 0 && st.Mode&0o111 != 0 {
		add(&w.setuid, maxSetUID)
	}
	_, user := w.acc.byUID[int(st.Uid)]
	_, group := w.acc.byGID[int(st.Gid)]
	// systemd gives out 61184 to 65519 for the time that a service runs.
	dynamic := st.Uid >= 61184 && st.Uid <= 65519
	if (!user || !group) && !dynamic {
		add(&w.unowned, maxFound)
	}
}
