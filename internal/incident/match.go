package incident

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/demarc/demarc/internal/canonical"
)

// Known are the provider's identities, by kind.
type Known struct {
	Accounts     []string
	Fingerprints []string
	Networks     []netip.Prefix
}

// Empty reports that nothing is known.
func (k Known) Empty() bool {
	return len(k.Accounts)+len(k.Fingerprints)+len(k.Networks) == 0
}

// Logins is what is read of a host.logins fact.
type Logins struct {
	Available bool     `json:"available"`
	Logins    []Login  `json:"logins"`
	Sources   []string `json:"remote_sources"`
}

// Login is one successful login to a machine.
type Login struct {
	User   string    `json:"user"`
	Source string    `json:"source"`
	Method string    `json:"method"`
	Key    string    `json:"key"`
	At     time.Time `json:"at"`
}

// Seen is a login by an identity of the provider.
type Seen struct {
	Login
	// Words say which identity it was.
	Words string
	// Occurrence is the digest of the login: the same login, reported again, has
	// the same.
	Occurrence string
}

// Match finds the logins by the provider's identities. day stands for when an
// address was seen of which the single login is no longer known: a fact keeps
// the latest logins only, but more addresses.
func (k Known) Match(l Logins, day time.Time) []Seen {
	var out []Seen
	told := map[string]bool{}
	for _, x := range l.Logins {
		if x.Source != "" {
			told[x.Source] = true
		}
		var why []string
		if slices.Contains(k.Accounts, x.User) {
			why = append(why, "account "+x.User)
		}
		if x.Key != "" && slices.Contains(k.Fingerprints, x.Key) {
			why = append(why, "key "+x.Key)
		}
		if n, ok := k.network(x.Source); ok {
			why = append(why, "network "+n)
		}
		if len(why) > 0 {
			out = append(out, seen(x, why))
		}
	}
	for _, s := range l.Sources {
		if n, ok := k.network(s); ok && !told[s] {
			out = append(out, seen(Login{Source: s, At: day.Truncate(24 * time.Hour)}, []string{"network " + n}))
		}
	}
	return out
}

func (k Known) network(source string) (string, bool) {
	a, err := netip.ParseAddr(source)
	if err != nil {
		return "", false
	}
	a = a.Unmap().WithZone("")
	for _, n := range k.Networks {
		if n.Contains(a) {
			return n.String(), true
		}
	}
	return "", false
}

func seen(x Login, why []string) Seen {
	raw, err := canonical.JSON(x)
	if err != nil {
		// Text that is not UTF-8 has no canonical form.
		raw = []byte(strings.ToValidUTF8(fmt.Sprintf("%q %q %q %q %d", x.User, x.Source, x.Method, x.Key, x.At.UnixMicro()), "?"))
	}
	from, who := x.Source, x.User
	if from == "" {
		from = "the console"
	}
	if who == "" {
		who = "an account"
	}
	return Seen{
		Login: x, Occurrence: canonical.Digest(raw),
		Words: printable(fmt.Sprintf("login as %s from %s at %s by an identity of the provider: %s", who, from, x.At.UTC().Format(time.RFC3339), strings.Join(why, ", "))),
	}
}

// printable makes words of a text that a machine gave: every database takes
// them, and no terminal obeys them.
func printable(s string) string {
	s = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return -1
		}
		return r
	}, strings.ToValidUTF8(s, ""))
	if len(s) > 1000 {
		s = strings.ToValidUTF8(s[:1000], "") + "…"
	}
	return s
}
