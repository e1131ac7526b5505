package observer

import (
	"context"
	"strings"

	"github.com/demarc/demarc/internal/service/telemetry"
)

func collectBanners(_ context.Context, p *probe) (any, error) {
	var f telemetry.Banners
	issue, net, motd := p.config("/etc/issue"), p.config("/etc/issue.net"), p.config("/etc/motd")
	f.Issue, f.IssueNet, f.MOTD = hasText(issue), hasText(net), hasText(motd)
	texts := map[string]string{"/etc/issue": issue, "/etc/issue.net": net, "/etc/motd": motd}
	if b := p.sshdSettings().last("banner"); strings.HasPrefix(b, "/") {
		texts[b] = p.config(b)
	}
	rel, _ := release5(p)
	for name, text := range texts {
		if leaksOS(text, rel) {
			f.LeaksOS = append(f.LeaksOS, name)
		}
	}
	f.LeaksOS = uniq(f.LeaksOS)
	return f, nil
}

func hasText(s string) bool { return strings.TrimSpace(s) != "" }

// leaksOS reports the escapes of agetty(8) that print the system, release,
// version or architecture, and the plain name of the distribution.
func leaksOS(text string, rel map[string]string) bool {
	for _, escape := range []string{`\m`, `\r`, `\s`, `\v`, `\S`} {
		if strings.Contains(text, escape) {
			return true
		}
	}
	low := strings.ToLower(text)
	for _, key := range []string{"PRETTY_NAME", "NAME"} {
		if name := strings.ToLower(rel[key]); name != "" && strings.Contains(low, name) {
			return true
		}
	}
	id := strings.ToLower(rel["ID"])
	for _, word := range strings.FieldsFunc(low, func(r rune) bool { return (r < 'a' || r > 'z') && (r < '0' || r > '9') }) {
		if word == id && id != "" || word == "linux" {
			return true
		}
	}
	return false
}
