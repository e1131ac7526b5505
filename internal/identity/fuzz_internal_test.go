package identity

import (
	"strings"
	"testing"
	"time"
)

// FuzzEncoded: what is read back is what was written, and costs nobody the
// machine's memory.
func FuzzEncoded(f *testing.F) {
	e := encoded{memory: 8, time: 1, threads: 1, salt: []byte("salt of a test.."), key: []byte("key of a test of passwords......")}
	for _, seed := range []string{
		e.String(), "", "$argon2id$v=19$m=4294967295,t=1,p=1$c2FsdHNhbHQ$a2V5a2V5a2V5a2V5a2U", "$argon2i$v=19$m=8,t=1,p=1$c2FsdHNhbHQ$a2V5a2V5a2V5a2V5a2U",
		"$argon2id$v=19$m=8,t=0,p=0$$", strings.Repeat("$", 400), "$argon2id$v=19$m=8,t=1,p=1,x=1$c2FsdHNhbHQ$a2V5a2V5a2V5a2V5a2U",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, s string) {
		e, err := parseEncoded(s)
		if err != nil {
			return
		}
		if e.String() != s || e.memory > 1<<20 || e.time > 20 || len(e.key) < 16 || len(e.salt) < 8 {
			t.Errorf("%q was read as %+v", s, e)
		}
	})
}

// FuzzTyped: what people type is one of the forms that are looked up, or none.
func FuzzTyped(f *testing.F) {
	for _, seed := range []string{"", "bcdf-ghjk", "BCDFGHJK", "abcd-efgh", "12345", "123 456", "\x00", "ｂｃｄｆ", strings.Repeat("b", 10000)} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if c := userCodeOf(s); c != "" && (len(c) != 9 || c[4] != '-' || userCodeOf(c) != c) {
			t.Errorf("code %q of %q", c, s)
		}
		if r := recoveryOf(s); recoveryOf(r) != r {
			t.Errorf("recovery code %q of %q", r, s)
		}
		if l := loginOf(s); loginOf(l) != l {
			t.Errorf("sign-in name %q of %q", l, s)
		}
		stepOf("JBSWY3DPEHPK3PXP", s, time.Unix(59, 0), 0)
		stepOf(s, "123456", time.Unix(59, 0), 0)
		if p := localPath(s); !strings.HasPrefix(p, "/") || strings.HasPrefix(p, "//") || strings.ContainsAny(p, "\\\r\n\t") {
			t.Errorf("%q leads to %q", s, p)
		}
		if c := clientOf(s); len(c) > 60 || strings.ContainsRune(c, 0x1b) {
			t.Errorf("client %q of %q", c, s)
		}
	})
}
