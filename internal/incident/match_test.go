package incident

import (
	"encoding/json"
	"net/netip"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

const key = "SHA256:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"

var then = time.Date(2026, 3, 3, 11, 0, 0, 0, time.UTC)

func known() Known {
	return Known{
		Accounts: []string{"opsanna"}, Fingerprints: []string{key},
		Networks: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24"), netip.MustParsePrefix("2001:db8::/32")},
	}
}

func TestMatch(t *testing.T) {
	for name, c := range map[string]struct {
		logins Logins
		want   []string
	}{
		"nobody":             {},
		"the customer's own": {logins: Logins{Logins: []Login{{User: "anna", Source: "198.51.100.7", Key: "SHA256:other", At: then}}, Sources: []string{"198.51.100.7"}}},
		"an account":         {Logins{Logins: []Login{{User: "opsanna", Source: "198.51.100.7", At: then}}}, []string{"account opsanna"}},
		"a key":              {Logins{Logins: []Login{{User: "root", Key: key, At: then}}}, []string{"key " + key}},
		"a network":          {Logins{Logins: []Login{{User: "root", Source: "192.0.2.9", At: then}}}, []string{"network 192.0.2.0/24"}},
		"mapped IPv6":        {Logins{Logins: []Login{{User: "root", Source: "::ffff:192.0.2.9", At: then}}}, []string{"network 192.0.2.0/24"}},
		"a zone":             {Logins{Logins: []Login{{User: "root", Source: "2001:db8::1%eth0", At: then}}}, []string{"network 2001:db8::/32"}},
		"all at once": {
			Logins{Logins: []Login{{User: "opsanna", Source: "192.0.2.9", Key: key, At: then}}, Sources: []string{"192.0.2.9"}},
			[]string{"account opsanna, key " + key + ", network 192.0.2.0/24"},
		},
		"an address of a login no longer listed": {Logins{Sources: []string{"192.0.2.9", "nonsense"}}, []string{"network 192.0.2.0/24"}},
	} {
		got := known().Match(c.logins, then)
		if len(got) != len(c.want) {
			t.Errorf("%s: %+v, want %v", name, got, c.want)
			continue
		}
		for i, g := range got {
			if !strings.HasSuffix(g.Words, ": "+c.want[i]) {
				t.Errorf("%s: %q, want %q", name, g.Words, c.want[i])
			}
		}
	}
}

// The same login, reported again, is the same occurrence; another is another.
func TestOccurrence(t *testing.T) {
	l := Login{User: "opsanna", Source: "192.0.2.9", Method: "publickey", At: then}
	one := known().Match(Logins{Logins: []Login{l}}, then)[0].Occurrence
	if again := known().Match(Logins{Logins: []Login{l}}, then.Add(time.Hour))[0].Occurrence; again != one {
		t.Error("the same login is another occurrence")
	}
	l.At = l.At.Add(time.Second)
	if other := known().Match(Logins{Logins: []Login{l}}, then)[0].Occurrence; other == one {
		t.Error("another login is the same occurrence")
	}
}

func TestCheckIdentity(t *testing.T) {
	for _, c := range []struct{ kind, value, want string }{
		{Account, "opsanna", "opsanna"}, {Account, "root", ""}, {Account, "Anna Lima", ""}, {Account, "", ""}, {Account, strings.Repeat("a", 33), ""},
		{Fingerprint, key, key}, {Fingerprint, "SHA256:short", ""}, {Fingerprint, "MD5:aa:bb", ""},
		{Address, "192.0.2.7/24", "192.0.2.0/24"}, {Address, "192.0.2.7", "192.0.2.7/32"}, {Address, "::ffff:192.0.2.7", "192.0.2.7/32"},
		{Address, "0.0.0.0/0", ""}, {Address, "10.0.0.0/7", ""}, {Address, "::/0", ""}, {Address, "2001:db8::/32", "2001:db8::/32"}, {Address, "fe80::1%eth0", ""}, {Address, "host", ""},
		{"mail", "a@example.org", ""},
	} {
		got, err := CheckIdentity(c.kind, c.value)
		if got != c.want || (err == nil) != (c.want != "") {
			t.Errorf("%s %q: %q, %v; want %q", c.kind, c.value, got, err, c.want)
		}
	}
}

// A machine's fact is foreign text: whatever it holds, each match has words
// and a digest.
func FuzzMatch(f *testing.F) {
	f.Add([]byte(`{"available":true,"logins":[{"user":"opsanna","source":"192.0.2.1","at":"2026-03-03T11:00:00Z"}],"remote_sources":["192.0.2.1"]}`))
	f.Add([]byte(`{"logins":[{"user":"opsanna","source":"\u0000","key":"x"}]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		var l Logins
		if json.Unmarshal(data, &l) != nil {
			return
		}
		for _, s := range known().Match(l, then) {
			if !strings.HasPrefix(s.Occurrence, "sha256:") || len(s.Occurrence) != 71 || s.Words == "" || strings.ContainsRune(s.Words, 0) || !utf8.ValidString(s.Words) {
				t.Errorf("%+v", s)
			}
		}
	})
}
