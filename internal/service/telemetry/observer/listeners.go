package observer

import (
	"cmp"
	"context"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/demarc/demarc/internal/service/telemetry"
)

const (
	maxListeners = 2000
	maxFDs       = 200000 // descriptors looked at to find the owners of sockets
)

// socket is one listening socket of /proc/net.
type socket struct {
	protocol string
	addr     netip.Addr
	port     int
	uid      int
	inode    uint64
}

func collectListeners(ctx context.Context, p *probe) (any, error) {
	sockets, err := p.sockets()
	if err != nil {
		return nil, err
	}
	if len(sockets) > maxListeners {
		p.gap("only %d of %d listening sockets are looked at", maxListeners, len(sockets))
		sockets = sockets[:maxListeners]
	}
	pids, complete := p.socketOwners(ctx, sockets)
	var f telemetry.Listeners
	f.Processes = complete
	if !complete {
		p.gap("which programs own some listening sockets is not seen: %s", mendDenied())
	}
	acc, _ := p.accounts()
	byPID := map[int]process{}
	for _, pr := range p.processes() {
		byPID[pr.pid] = pr
	}
	var programs []string
	for _, s := range sockets {
		l := telemetry.Listener{Protocol: s.protocol, Address: s.addr.String(), Port: s.port, Loopback: s.addr.IsLoopback(), PID: pids[s.inode]}
		if acc != nil {
			l.User = acc.userName(s.uid)
		}
		if pr, ok := byPID[l.PID]; ok {
			l.Process = pr.comm
			if strings.HasPrefix(pr.exe, "/") {
				programs = append(programs, pr.exe)
			}
		}
		if !l.Loopback {
			name := fmt.Sprintf("%s/%d", l.Protocol, l.Port)
			if l.Process != "" {
				name += ":" + l.Process
			}
			f.External = append(f.External, name)
		}
		f.Listeners = append(f.Listeners, l)
	}
	owner, _ := p.owners(ctx, uniq(programs))
	for i := range f.Listeners {
		l := &f.Listeners[i]
		l.Package = owner[byPID[l.PID].exe]
	}
	slices.SortFunc(f.Listeners, func(a, b telemetry.Listener) int {
		return cmp.Or(strings.Compare(a.Protocol, b.Protocol), cmp.Compare(a.Port, b.Port), strings.Compare(a.Address, b.Address), cmp.Compare(a.PID, b.PID))
	})
	f.Listeners = slices.Compact(f.Listeners)
	f.External = uniq(f.External)
	return f, nil
}

// sockets reads the listening TCP sockets and the unconnected UDP sockets of
// the agent's network namespace.
func (p *probe) sockets() ([]socket, error) {
	var out []socket
	seen := false
	for _, table := range []string{"tcp", "tcp6", "udp", "udp6"} {
		b, err := p.readUpTo("/proc/net/"+table, 32<<20)
		if absent(err) {
			continue // a kernel without IPv6
		}
		if err != nil {
			return nil, fmt.Errorf("listening sockets cannot be read: %w", err)
		}
		seen = true
		out = append(out, parseSockets(table[:3], b)...)
	}
	if !seen {
		return nil, fmt.Errorf("listening sockets cannot be read: /proc/net/tcp does not exist; mount /proc")
	}
	return out, nil
}

// parseSockets parses /proc/net/{tcp,tcp6,udp,udp6} (proc_pid_net(5)).
func parseSockets(protocol string, b []byte) []socket {
	const listen, unconnected = "0A", "07"
	var out []socket
	lines(b, func(n int, line string) {
		f := strings.Fields(line)
		if n == 1 || len(f) < 10 || len(out) > 10*maxListeners {
			return
		}
		if protocol == "tcp" && f[3] != listen || protocol == "udp" && (f[3] != unconnected || !strings.HasSuffix(f[2], ":0000")) {
			return
		}
		host, port, ok := strings.Cut(f[1], ":")
		addr, valid := procAddress(host)
		number, err := strconv.ParseUint(port, 16, 16)
		if !ok || !valid || err != nil {
			return
		}
		uid, _ := strconv.Atoi(f[7])
		inode, _ := strconv.ParseUint(f[9], 10, 64)
		out = append(out, socket{protocol, addr, int(number), uid, inode})
	})
	return out
}

// procAddress decodes 32-bit words in the machine's (little-endian) order.
func procAddress(s string) (netip.Addr, bool) {
	b, err := hex.DecodeString(s)
	if err != nil || len(b) != 4 && len(b) != 16 {
		return netip.Addr{}, false
	}
	for i := 0; i < len(b); i += 4 {
		binary.BigEndian.PutUint32(b[i:], binary.LittleEndian.Uint32(b[i:]))
	}
	addr, _ := netip.AddrFromSlice(b)
	return addr.Unmap(), true
}

// socketOwners finds the process that holds each socket. It walks /proc again
// only if a socket is new or an owner has gone: the walk is the dear part.
func (p *probe) socketOwners(ctx context.Context, sockets []socket) (map[uint64]int, bool) {
	type owners struct {
		pids     map[uint64]int
		complete bool
	}
	known, _ := remember(p, "socket owners", "", func() (*owners, error) { return &owners{pids: map[uint64]int{}}, nil })
	c := p.memory.cell("socket owners lock")
	c.mu.Lock()
	defer c.mu.Unlock()
	wanted := map[uint64]bool{}
	stale := false
	for _, s := range sockets {
		if s.inode == 0 {
			continue // the kernel's own
		}
		wanted[s.inode] = true
		pid, ok := known.pids[s.inode]
		if !ok || pid > 0 && !p.exists("/proc/"+strconv.Itoa(pid)) {
			stale = true
		}
	}
	if stale {
		pids, complete := p.walkDescriptors(ctx, wanted)
		known.pids, known.complete = pids, complete
		for inode := range wanted {
			if _, ok := pids[inode]; !ok {
				pids[inode] = 0 // looked for and not found
			}
		}
	}
	out := make(map[uint64]int, len(wanted))
	for inode := range wanted {
		out[inode] = known.pids[inode]
	}
	return out, known.complete || len(wanted) == 0
}

// walkDescriptors looks for sockets among the descriptors of all processes.
func (p *probe) walkDescriptors(ctx context.Context, wanted map[uint64]bool) (map[uint64]int, bool) {
	out := map[uint64]int{}
	complete, looked := true, 0
	start := time.Now()
	for _, pr := range p.processes() {
		dir := "/proc/" + strconv.Itoa(pr.pid) + "/fd"
		names, err := p.list(dir)
		if err != nil {
			complete = complete && absent(err)
			continue
		}
		for _, n := range names {
			if looked++; looked > maxFDs || ctx.Err() != nil || time.Since(start) > 5*time.Second {
				return out, false
			}
			target, err := os.Readlink(p.path(dir + "/" + n))
			if err != nil {
				complete = complete && absent(plain(n, err))
				continue
			}
			number, ok := strings.CutPrefix(target, "socket:[")
			if !ok {
				continue
			}
			inode, err := strconv.ParseUint(strings.TrimSuffix(number, "]"), 10, 64)
			if err == nil && wanted[inode] {
				if _, taken := out[inode]; !taken {
					out[inode] = pr.pid
				}
			}
		}
	}
	return out, complete || len(out) == len(wanted)
}
