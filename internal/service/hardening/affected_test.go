package hardening_test

import (
	"bytes"
	"encoding/json"
	"testing"

	"github.com/demarc/demarc/internal/service"
	"github.com/demarc/demarc/internal/service/hardening"
)

// A change that is said not to matter must leave the result as it is.
func TestAffected(t *testing.T) {
	s := prepared(t)
	base := readHost(t, hardening.Debian)
	changes := []struct {
		kind   string
		change map[string]any
		want   bool
	}{
		{"host.sshd", map[string]any{"permit_root_login": "yes"}, true},
		{"host.sshd", map[string]any{"version": "OpenSSH_9.9"}, false},
		{"host.logins", map[string]any{"failed": 17}, false},
		{"host.updates", map[string]any{"pending": 50}, false},
		{"host.firewall", map[string]any{"backend": "unknown"}, true},
		{"host.users", map[string]any{"shadow_readable": false}, true},
		{"host.timesync", map[string]any{"offset_seconds": 0.25}, false},
		{"host.os", map[string]any{"hostname": "other"}, true}, // not certain
	}
	for level := 1; level <= 2; level++ {
		for _, c := range changes {
			before, now := base.input(t), base.patch(map[string]any{c.kind: c.change}).input(t)
			before.Policy = policy(t, hardening.Policy{Level: level})
			now.Policy = before.Policy
			affected := s.Affected(before, now, []string{c.kind})
			if affected != c.want {
				t.Errorf("level %d, %s %v: affected is %v", level, c.kind, c.change, affected)
			}
			if !affected && !bytes.Equal(result(t, s, before), result(t, s, now)) {
				t.Errorf("level %d, %s %v: another result, though said not to be affected", level, c.kind, c.change)
			}
		}
	}
}

func result(t *testing.T, s *hardening.Service, in service.Input) []byte {
	t.Helper()
	r, _ := derive(t, s, in)
	raw, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}
