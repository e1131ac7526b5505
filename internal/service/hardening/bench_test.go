package hardening_test

import (
	"fmt"
	"testing"

	"github.com/demarc/demarc/internal/service/hardening"
)

// busy is the hardened host with as many units, listeners, jobs and accounts
// as a server in use has.
func busy(t testing.TB) host {
	h := readHost(t, hardening.Debian)
	grow := func(kind, member string, n int, item func(i int) any) {
		fact := h[kind].(map[string]any)
		list := fact[member].([]any)
		for i := range n {
			list = append(list, item(i))
		}
		fact[member] = list
	}
	grow("host.services", "units", 120, func(i int) any {
		return map[string]any{"name": fmt.Sprintf("unit-%d.service", i), "active": "active", "enabled": "enabled"}
	})
	grow("host.services", "running", 30, func(i int) any { return fmt.Sprintf("unit-%d", i) })
	grow("host.services", "enabled", 50, func(i int) any { return fmt.Sprintf("unit-%d", i) })
	grow("host.mounts", "mounts", 20, func(i int) any {
		return map[string]any{"target": fmt.Sprintf("/run/credentials/%d", i), "source": "tmpfs", "type": "tmpfs", "options": []string{"nodev", "nosuid", "rw"}, "encryption": "none", "size_bytes": 0}
	})
	grow("host.listeners", "listeners", 20, func(i int) any {
		return map[string]any{"protocol": "tcp", "address": "127.0.0.1", "port": 20000 + i, "loopback": true, "process": "app"}
	})
	grow("host.users", "users", 25, func(i int) any {
		return map[string]any{"name": fmt.Sprintf("svc%d", i), "uid": 300 + i, "gid": 300 + i, "home": "/nonexistent", "shell": "/usr/sbin/nologin", "password": "locked", "max_days": -1, "must_change": false, "can_login": false, "admin": false}
	})
	grow("host.groups", "groups", 40, func(i int) any {
		return map[string]any{"name": fmt.Sprintf("svc%d", i), "gid": 300 + i, "members": []string{}}
	})
	grow("host.jobs", "jobs", 25, func(i int) any {
		return map[string]any{"kind": "timer", "user": "root", "schedule": "daily", "command": fmt.Sprintf("job-%d.service", i), "source": fmt.Sprintf("job-%d.timer", i)}
	})
	return h
}

func BenchmarkDerive(b *testing.B) {
	s := prepared(b)
	for level := 1; level <= 2; level++ {
		b.Run(fmt.Sprintf("level=%d", level), func(b *testing.B) {
			in := busy(b).input(b)
			in.Policy = policy(b, hardening.Policy{Level: level})
			size := 0
			for _, kind := range s.Reads() {
				if f, ok := in.Facts(kind); ok {
					size += len(f.Data)
				}
			}
			rules := 0
			b.ReportAllocs()
			for b.Loop() {
				r, _ := derive(b, s, in)
				rules = r.Rules
			}
			b.ReportMetric(float64(rules), "rules")
			b.ReportMetric(float64(rules*b.N)/b.Elapsed().Seconds(), "rules/s")
			b.ReportMetric(float64(size), "fact-bytes")
		})
	}
}
