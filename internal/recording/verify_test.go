package recording_test

import (
	"bytes"
	"os"
	"strings"
	"testing"

	"github.com/demarc/demarc/internal/store"
	"github.com/demarc/demarc/internal/store/storetest"
)

// TestChanged changes a recording in every way that its keeper could, and finds
// which segment is wrong.
func TestChanged(t *testing.T) {
	r := session(t)
	rec := r.start()
	for i := range 4 {
		must(t, rec.Output([]byte(strings.Repeat(string(rune('a'+i)), 50))))
		r.sealedAs(rec.ID, i+1)
	}
	rec.Close("done")
	if v := r.verify(rec.ID); v.Fault != "" || v.Segments != 4 || v.Bytes != int64(len(r.text(rec.ID))) {
		t.Fatalf("%+v", v)
	}
	s := r.segments(rec.ID)
	whole := []byte(r.text(rec.ID))
	cut := func(from, to int64) []byte { return append(bytes.Clone(whole[:from]), whole[to:]...) }
	for _, c := range []struct {
		name    string
		text    []byte
		segment int64
		words   string
	}{
		{"a flipped byte", flip(whole, s[1].End+20), 3, "not those that were sealed"},
		{"the first byte flipped", flip(whole, 0), 1, "not those that were sealed"},
		{"the last byte flipped", flip(whole, int64(len(whole)-1)), 4, "not those that were sealed"},
		{"a cut tail", whole[:s[2].End], 4, "bytes too early"},
		{"half of a segment cut", whole[:s[2].End+3], 4, "bytes too early"},
		{"a segment taken out", cut(s[0].End, s[1].End), 2, "not those that were sealed"},
		{"segments swapped", swap(whole, s[0].End, s[1].End, s[2].End), 2, "not those that were sealed"},
		{"bytes added", append(bytes.Clone(whole), "[9.0,\"o\",\"x\"]\n"...), 5, "after its end"},
		{"nothing left", nil, 1, "bytes too early"},
	} {
		t.Run(c.name, func(t *testing.T) {
			must(t, os.WriteFile(r.path(rec.ID), c.text, 0o600))
			v := r.verify(rec.ID)
			if v.Segment != c.segment || !strings.Contains(v.Fault, c.words) || v.To < v.From {
				t.Errorf("%+v, want segment %d: %s", v, c.segment, c.words)
			}
		})
	}
	t.Run("the file gone", func(t *testing.T) {
		must(t, os.Remove(r.path(rec.ID)))
		if v := r.verify(rec.ID); v.Fault != "the file is missing" {
			t.Errorf("%+v", v)
		}
	})
}

func flip(b []byte, at int64) []byte {
	b = bytes.Clone(b)
	b[at] ^= 1
	return b
}

// swap exchanges the parts from a to b and from b to c.
func swap(w []byte, a, b, c int64) []byte {
	out := bytes.Clone(w[:a])
	out = append(out, w[b:c]...)
	out = append(out, w[a:b]...)
	return append(out, w[c:]...)
}

// TestGuards finds that the database refuses to forget or change what was
// recorded.
func TestGuards(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		r := newRig(t, s, t.TempDir())
		r.prepare()
		r.run()
		rec := r.start()
		must(t, rec.Output([]byte("x")))
		rec.Close("done")
		last := r.segments(rec.ID)
		write := func(f func(tx *store.Tx) error) error { return s.Write(t.Context(), f) }
		for name, err := range map[string]error{
			"a segment more": write(func(tx *store.Tx) error {
				return tx.InsertSegments([]store.Segment{{Recording: rec.ID, Number: int64(len(last) + 1)}})
			}),
			"a segment again": write(func(tx *store.Tx) error { return tx.InsertSegments(last[:1]) }),
			"ended again":     write(func(tx *store.Tx) error { return tx.EndRecording(rec.ID, "complete", "again", last[0].SealedAt, 1) }),
			"target in use":   write(func(tx *store.Tx) error { return tx.InsertTarget(r.target) }),
			"no such recording": write(func(tx *store.Tx) error {
				return tx.InsertSegments([]store.Segment{{Recording: "rec-none", Number: 1}})
			}),
		} {
			if err == nil {
				t.Errorf("%s: it was taken", name)
			}
		}
		if v := r.verify(rec.ID); v.Fault != "" || v.Segments != int64(len(last)) {
			t.Errorf("%+v", v)
		}
	})
}
