package house

import (
	"bytes"
	"regexp"
	"strings"
	"testing"
)

// only lists what few places may do, so that nothing is done or decided past
// the authorization policy.
var only = []struct {
	what  *regexp.Regexp
	where []string
	why   string
}{
	{
		regexp.MustCompile(`\.NotifyAgent\(`), []string{"internal/fleet/fleet.go", "internal/role/server/"},
		"agents are told only what an operation was decided for, or what the server itself needs",
	}, {
		regexp.MustCompile(`\.Fleet\.Refresh\(`), []string{"internal/httpapi/vms.go"},
		"asking agents to look is an operation with a rule",
	}, {
		regexp.MustCompile(`"github.com/cedar-policy/`), []string{"internal/authz/"},
		"one package asks Cedar",
	}, {
		regexp.MustCompile(`\baccess\.(Provider(Operator|Support|Security|Compliance|Administrator|Auditor)|Customer(Owner|Administrator|Approver|Viewer|Auditor))\b`),
		[]string{
			"internal/access/", "internal/authz/", "internal/rights/", "internal/identity/", "internal/store/administrators.go", "internal/role/server/identity.go",
			"internal/httpapi/people.go", "internal/httpapi/signin.go",
		},
		"whoever names a role decides by it, which is the policy's to do; identity knows the last administrator and the first owner by theirs",
	}, {
		regexp.MustCompile(`\bhuma\.Register\(`), []string{"internal/httpapi/auth.go", "internal/httpapi/agents.go", "internal/httpapi/visitor.go"},
		"operations are registered with a rule, but for those that are open on purpose",
	},
}

func TestNothingIsDecidedElsewhere(t *testing.T) {
	eachFile(t, ".go", func(path string, data []byte) {
		if strings.HasSuffix(path, "_test.go") || strings.HasPrefix(path, "bench/") {
			return
		}
		for _, o := range only {
			allowed := false
			for _, w := range o.where {
				allowed = allowed || strings.HasPrefix(path, w)
			}
			if m := o.what.Find(data); m != nil && !allowed {
				t.Errorf("%s:%d has %s: %s", path, 1+bytes.Count(data[:bytes.Index(data, m)], []byte("\n")), m, o.why)
			}
		}
	})
}
