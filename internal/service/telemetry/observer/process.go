package observer

import (
	"os"
	"slices"
	"strconv"
	"strings"
	"time"
)

const maxProcesses = 20000

// process is one entry of /proc. exe is "" where it may not be read.
type process struct {
	pid  int
	comm string
	exe  string
	uid  int // effective
}

// processes lists the running programs, kernel threads aside, as of at most
// ten seconds ago.
func (p *probe) processes() []process {
	list, _ := lately(p, "processes", 10*time.Second, func() ([]process, error) {
		names, err := p.list("/proc")
		if err != nil {
			return nil, err
		}
		var out []process
		for _, name := range names {
			pid, err := strconv.Atoi(name)
			if err != nil || len(out) >= maxProcesses {
				continue
			}
			status, err := p.readUpTo("/proc/"+name+"/status", 16<<10)
			if err != nil {
				continue // it ended
			}
			pr := process{pid: pid, uid: -1}
			kernel := false
			lines(status, func(_ int, line string) {
				key, value, _ := strings.Cut(line, ":")
				switch f := strings.Fields(value); {
				case len(f) == 0:
				case key == "Name":
					pr.comm = strings.TrimSpace(value)
				case key == "Uid" && len(f) > 1:
					pr.uid, _ = strconv.Atoi(f[1])
				case key == "Kthread":
					kernel = f[0] == "1"
				}
			})
			if kernel {
				continue
			}
			pr.exe, _ = os.Readlink(p.path("/proc/" + name + "/exe"))
			if base := baseName(pr.exe); len(pr.comm) == 15 && strings.HasPrefix(base, pr.comm) {
				pr.comm = base // the kernel cuts names at 15 bytes
			}
			out = append(out, pr)
		}
		return out, nil
	})
	return list
}

func baseName(path string) string {
	path = strings.TrimSuffix(path, " (deleted)")
	return path[strings.LastIndexByte(path, '/')+1:]
}

// process returns the first process of one of the names.
func (p *probe) process(names ...string) (process, bool) {
	for _, pr := range p.processes() {
		if slices.Contains(names, pr.comm) || pr.exe != "" && slices.Contains(names, baseName(pr.exe)) {
			return pr, true
		}
	}
	return process{}, false
}

// running reports whether one of the names is a running process or an active
// systemd service.
func (p *probe) running(names ...string) bool {
	if _, ok := p.process(names...); ok {
		return true
	}
	u, err := p.units()
	if err != nil {
		return false
	}
	for _, n := range names {
		if u.active[n+".service"] {
			return true
		}
	}
	return false
}
