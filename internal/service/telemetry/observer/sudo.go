package observer

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/demarc/demarc/internal/service/telemetry"
)

func collectSudo(_ context.Context, p *probe) (any, error) {
	f := telemetry.Sudo{
		Installed:      p.anyExists("/usr/bin/sudo", "/usr/local/bin/sudo", "/bin/sudo") != "",
		TimeoutMinutes: 15,
		SuRestricted:   suRestricted(p),
	}
	s, err := p.sudoers()
	if absent(err) {
		return f, nil
	}
	if err != nil {
		return nil, fmt.Errorf("the sudo rules cannot be read: %w", err)
	}
	if s.cut {
		p.gap("only the first %d sudo rules are looked at", maxSudoRules)
	}
	f.Rules = make([]telemetry.SudoRule, 0, len(s.rules))
	for _, r := range s.rules {
		r.Commands = maskSecrets(strings.Join(s.expand(splitList(r.Commands), 0), ", "))
		f.Rules = append(f.Rules, r)
		if slices.Contains(strings.Fields(r.Tags), "NOPASSWD") {
			f.NoPassword = append(f.NoPassword, r.Who)
		}
	}
	slices.SortStableFunc(f.Rules, func(a, b telemetry.SudoRule) int {
		return cmp.Or(strings.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line), strings.Compare(a.Who, b.Who))
	})
	f.NoPassword = uniq(f.NoPassword)
	f.FullRights = s.fullRights()
	f.UsePTY = s.on("use_pty")
	f.IOLog = s.on("log_input") || s.on("log_output")
	f.TimeoutMinutes = s.timeout()
	if d, ok := s.setting("logfile"); ok && !d.off {
		f.LogFile = d.value
	}
	for _, d := range s.defaults {
		if d.name == "authenticate" {
			f.NoAuthenticate = d.off
		}
	}
	return f, nil
}

// suRestricted reports whether pam_wheel limits su to the members of a group.
func suRestricted(p *probe) bool {
	for _, e := range p.pam("su") {
		if e.kind == "auth" && e.module == "pam_wheel.so" && e.mandatory() && !e.has("deny") && !e.has("trust") {
			return true
		}
	}
	return false
}
