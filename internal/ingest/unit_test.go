package ingest

import (
	"bytes"
	"encoding/json"
	"testing"
	"time"

	"github.com/demarc/demarc/internal/canonical"
	"github.com/demarc/demarc/internal/evidence"
)

// Whatever a batch holds, it is read without a fault of ours, and what is
// accepted as a fact is canonical and has its digest.
func FuzzRead(f *testing.F) {
	now := time.Date(2026, 3, 3, 12, 0, 0, 0, time.UTC)
	for _, b := range []any{
		batch("e", 1, fact(1, now), activity(1, now), confirmation(1, now)),
		batch("e", 1<<62, evidence.Record{Class: "fact", Kind: "test.counter", Time: now, Data: []byte(`{"state":"good","n":1}`)}),
		batch("", 0),
	} {
		data, err := json.Marshal(b)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Add([]byte(`{"epoch":"e","first":1,"sent_at":"2026-01-01T00:00:00Z","records":[{"class":"fact","kind":"test.counter","time":"2026-01-01T00:00:00Z","data":null,"digest":"x"}]}`))
	in := New(Config{Kinds: testKinds(f), Decode: decodeJSON})
	f.Fuzz(func(t *testing.T, data []byte) {
		b, err := decodeJSON(data)
		if err != nil {
			return
		}
		for _, r := range b.Records { // past the recovery in read, so that a panic shows
			rec := in.check(r)
			if rec.reason != "" {
				if rec.Data != nil {
					t.Errorf("a refused record keeps its data")
				}
				continue
			}
			if rec.Class == evidence.ClassFact && len(rec.Data) > 0 {
				c, err := canonical.Bytes(rec.Data)
				if err != nil || !bytes.Equal(c, rec.Data) || rec.Digest != canonical.Digest(c) {
					t.Errorf("fact %s was accepted with digest %s: %v", rec.Data, rec.Digest, err)
				}
			}
		}
	})
}

func TestNumbersOfFacts(t *testing.T) {
	type inner struct {
		Load float64 `json:"load" metric:"m_load"`
	}
	type outer struct {
		Count int     `json:"count" metric:"m_count"`
		Plain int     `json:"plain"`
		Maybe float64 `json:"maybe,omitempty" metric:"m_maybe"`
		In    inner   `json:"in"`
		List  []inner `json:"list"`
	}
	k := evidence.KindOf[outer]("test.outer", evidence.ScopeVM, time.Minute, "Has numbers.")
	got := map[string]float64{}
	for _, n := range pathsOf(k.Type).read([]byte(`{"count":3,"plain":4,"in":{"load":0.5},"list":[{"load":9}]}`)) {
		got[n.name] = n.value
	}
	if len(got) != 2 || got["m_count"] != 3 || got["m_load"] != 0.5 {
		t.Errorf("numbers %v", got)
	}
}
