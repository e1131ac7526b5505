package ledger

import (
	"encoding/json"
	"errors"
	"testing"

	"filippo.io/torchwood"
	"golang.org/x/mod/sumdb/note"

	"github.com/demarc/demarc/internal/ledger/bundle"
	"github.com/demarc/demarc/internal/ledger/entry"
	"github.com/demarc/demarc/internal/store"
	"github.com/demarc/demarc/internal/store/storetest"
)

// A certificate verifies with a foreign implementation of C2SP tlog-proof, which
// is given the commitment of the entry that it shows.
func TestCertificateVerifiesElsewhere(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		l := grown(t, s)
		keys, err := l.Keys(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		v, err := note.NewVerifier(keys[1].VKey)
		if err != nil {
			t.Fatal(err)
		}
		policy := torchwood.ThresholdPolicy(2, torchwood.OriginPolicy("demarc/test"), torchwood.SingleVerifierPolicy(v))
		for _, index := range []int64{0, 100, 266} {
			proof, err := l.Certificate(t.Context(), index)
			if err != nil {
				t.Fatal(err)
			}
			extra, err := torchwood.ProofExtraData(proof)
			if err != nil {
				t.Fatal(err)
			}
			var shown bundle.Entry
			if err := json.Unmarshal(extra, &shown); err != nil {
				t.Fatal(err)
			}
			if err := torchwood.VerifyProof(policy, entry.Commit(shown.Salt, shown.Entry).Leaf(), proof); err != nil {
				t.Errorf("entry %d: %v", index, err)
			}
			if err := torchwood.VerifyProof(policy, entry.Commit(shown.Salt, append(shown.Entry, ' ')).Leaf(), proof); err == nil {
				t.Errorf("entry %d verifies when changed", index)
			}
		}
		add(t, l, some(1)...)
		for _, index := range []int64{-1, 267, 1000} {
			if _, err := l.Certificate(t.Context(), index); !errors.Is(err, ErrRange) {
				t.Errorf("entry %d: %v, want ErrRange", index, err)
			}
		}
	})
}
