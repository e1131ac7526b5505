package identity_test

import (
	"testing"
	"time"

	"golang.org/x/crypto/argon2"

	"github.com/demarc/demarc/internal/access"
	"github.com/demarc/demarc/internal/identity"
)

// BenchmarkSignIn signs in with a password, beside the argon2id that it takes:
// ratio is how long a whole sign-in takes for each hashing.
func BenchmarkSignIn(b *testing.B) {
	ids, _, now := setUp(b)
	ids.Cost = identity.DefaultCost
	tenantWithKey(b, ids, "t-1")
	withPassword(b, ids, access.CustomerViewer, "t-1", "Vi")
	salt := make([]byte, 16)
	var hashing, whole time.Duration
	for b.Loop() {
		now.now = now.now.Add(time.Second)
		began := time.Now()
		argon2.IDKey([]byte(goodPassword), salt, identity.DefaultCost.Time, identity.DefaultCost.Memory, identity.DefaultCost.Threads, 32)
		hashing += time.Since(began)
		began = time.Now()
		if _, err := ids.SignInWithPassword(b.Context(), here, "vi@example.org", goodPassword); err != nil {
			b.Fatal(err)
		}
		whole += time.Since(began)
	}
	b.ReportMetric(float64(whole)/float64(hashing), "ratio")
	b.ReportMetric(float64(hashing.Milliseconds())/float64(b.N), "ms-argon2id/op")
	b.ReportMetric(float64(whole.Milliseconds())/float64(b.N), "ms-sign-in/op")
}

// TestUnknownAccountsTakeAsLong: a sign-in name that is there cannot be told
// from one that is not by the time that a wrong password takes.
func TestUnknownAccountsTakeAsLong(t *testing.T) {
	ids, _, now := setUp(t)
	ids.Cost = identity.Cost{Memory: 16 << 10, Time: 1, Threads: 1}
	withPassword(t, ids, access.ProviderAdministrator, "", "Ada")
	least := map[string]time.Duration{}
	for range 8 {
		for _, login := range []string{"ada@example.org", "nobody@example.org"} {
			now.now = now.now.Add(time.Hour)
			began := time.Now()
			if _, err := ids.SignInWithPassword(t.Context(), here, login, "not the password"); err == nil {
				t.Fatal("signed in")
			}
			if took := time.Since(began); least[login] == 0 || took < least[login] {
				least[login] = took
			}
		}
	}
	// The least of several leaves out what else the machine did.
	if ratio := float64(least["nobody@example.org"]) / float64(least["ada@example.org"]); ratio < 0.6 || ratio > 1.6 {
		t.Errorf("an unknown name takes %.2f times as long: %v", ratio, least)
	}
}
