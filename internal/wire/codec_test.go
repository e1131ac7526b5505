package wire

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"

	"github.com/demarc/demarc/internal/canonical"
	"github.com/demarc/demarc/internal/evidence"
)

var noon = time.Date(2026, 3, 3, 12, 0, 0, 123456789, time.UTC)

// activities returns n records of about 300 bytes each as JSON.
func activities(n int) []evidence.Record {
	out := make([]evidence.Record, n)
	for i := range out {
		data := fmt.Sprintf(`{"message":"Accepted publickey for operator from 192.0.2.%d port %d ssh2","program":"sshd","pid":%d,"user":"operator","unit":"ssh.service","session":"c%d","outcome":"success","key":"SHA256:%020d"}`,
			i%250, 1024+i, 300+i, i, i*7919)
		out[i] = evidence.Record{Class: evidence.ClassActivity, Kind: "host.login", Time: noon.Add(time.Duration(i) * time.Millisecond), Data: json.RawMessage(data)}
	}
	return out
}

func pack(t testing.TB, s string) []byte {
	t.Helper()
	w, err := zstd.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	return w.EncodeAll([]byte(s), nil)
}

func TestBatchComesBackAsItWas(t *testing.T) {
	b := Batch{Epoch: "a1b2-C3", First: 42, SentAt: noon, Records: activities(3)}
	b.Records = append(b.Records, evidence.Record{Class: evidence.ClassFact, Kind: "host.os", Time: noon, Digest: canonical.Digest([]byte("{}"))})
	msg, err := EncodeBatch(b)
	if err != nil {
		t.Fatal(err)
	}
	got, err := DecodeBatch(msg)
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(got, b) {
		t.Errorf("got %+v\nwant %+v", got, b)
	}
}

// TestDecodeBatchLeavesValues: one bad record does not cost the others.
func TestDecodeBatchLeavesValues(t *testing.T) {
	const good = `{"class":"activity","kind":"x.y","time":"2026-03-03T12:00:00Z","data":{}}`
	for name, bad := range map[string]string{
		"unknown class": strings.Replace(good, "activity", "rumour", 1),
		"no kind":       strings.Replace(good, "x.y", "", 1),
		"no time":       strings.Replace(good, `"time":"2026-03-03T12:00:00Z",`, ``, 1),
		"no data":       strings.Replace(good, `,"data":{}`, ``, 1),
		"large record":  strings.Replace(good, `{}`, `{"a":"`+strings.Repeat("x", evidence.MaxRecordBytes)+`"}`, 1),
	} {
		t.Run(name, func(t *testing.T) {
			b, err := DecodeBatch(pack(t, `{"epoch":"e","first":1,"sent_at":"2026-03-03T12:00:00Z","records":[`+good+","+bad+","+good+`]}`))
			if err != nil || len(b.Records) != 3 {
				t.Fatalf("%d records, %v", len(b.Records), err)
			}
			if b.Records[0].Check() != nil || b.Records[2].Check() != nil || b.Records[1].Check() == nil {
				t.Error("the wrong records are bad")
			}
		})
	}
}

func TestDecodeBatchRefuses(t *testing.T) {
	rec := `{"class":"activity","kind":"k","time":"2026-03-03T12:00:00Z","data":{}}`
	batch := func(records string) string {
		return `{"epoch":"e","first":1,"sent_at":"2026-03-03T12:00:00Z","records":[` + records + `]}`
	}
	tests := map[string]string{
		"empty":                "",
		"no object":            `[]`,
		"no records":           batch(""),
		"unknown member":       strings.Replace(batch(rec), `"epoch"`, `"tenant":"x","epoch"`, 1),
		"missing member":       strings.Replace(batch(rec), `"epoch":"e",`, ``, 1),
		"epoch with a dot":     strings.Replace(batch(rec), `"e"`, `"e.>"`, 1),
		"sequence nought":      strings.Replace(batch(rec), `"first":1`, `"first":0`, 1),
		"sequence as text":     strings.Replace(batch(rec), `"first":1`, `"first":"1"`, 1),
		"fractional sequence":  strings.Replace(batch(rec), `"first":1`, `"first":1.5`, 1),
		"sequence overflows":   strings.Replace(batch(rec), `"first":1`, `"first":18446744073709551615`, 1),
		"twice a member":       strings.Replace(batch(rec), `"first":1`, `"first":1,"first":2`, 1),
		"trailing":             batch(rec) + `{}`,
		"too many":             batch(strings.Repeat(rec+",", MaxBatchRecords) + rec),
		"record member":        batch(strings.Replace(rec, `"kind"`, `"agent":"other","kind"`, 1)),
		"bad time":             batch(strings.Replace(rec, "2026-03-03", "yesterday", 1)),
		"data no object":       batch(strings.Replace(rec, `{}`, `[1]`, 1)),
		"duplicate in data":    batch(strings.Replace(rec, `{}`, `{"a":1,"a":2}`, 1)),
		"bad UTF-8":            batch(strings.Replace(rec, `{}`, "{\"a\":\"\xff\"}", 1)),
		"deep data":            batch(strings.Replace(rec, `{}`, `{"a":`+strings.Repeat("[", MaxDepth)+strings.Repeat("]", MaxDepth)+`}`, 1)),
		"digest of other form": batch(strings.Replace(rec, `"data":{}`, `"data":{},"digest":"md5:0"`, 1)),
		"cut short":            batch(rec)[:60],
		"bomb":                 batch(strings.Replace(rec, `{}`, `{"a":"`+strings.Repeat("x", 64<<20)+`"}`, 1)),
	}
	for name, raw := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := DecodeBatch(pack(t, raw))
			if !errors.Is(err, ErrBatch) {
				t.Fatalf("got %v, want a refusal", err)
			}
			if len(err.Error()) > 300 {
				t.Errorf("the error has %d characters", len(err.Error()))
			}
		})
	}
	if _, err := DecodeBatch(pack(t, batch(rec))); err != nil {
		t.Errorf("the batch that the cases spoil is itself refused: %v", err)
	}
	for _, msg := range [][]byte{nil, []byte("not zstd"), make([]byte, MaxMessageBytes+1)} {
		if _, err := DecodeBatch(msg); !errors.Is(err, ErrBatch) {
			t.Errorf("%d foreign bytes: %v", len(msg), err)
		}
	}
}

func TestBombIsNotInflated(t *testing.T) {
	bomb := pack(t, strings.Repeat(" ", 256<<20))
	if len(bomb) > MaxMessageBytes {
		t.Fatalf("the bomb has %d bytes", len(bomb))
	}
	res := testing.Benchmark(func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := DecodeBatch(bomb); !errors.Is(err, ErrBatch) {
				b.Fatalf("got %v", err)
			}
		}
	})
	if got := res.AllocedBytesPerOp(); got > 3*MaxBatchBytes {
		t.Errorf("a bomb of %d bytes made %d bytes", len(bomb), got)
	}
}

func TestEncodeBatchRefuses(t *testing.T) {
	good := activities(1)[0]
	with := func(change func(*evidence.Record)) Batch {
		r := good
		change(&r)
		return Batch{Epoch: "e", First: 1, SentAt: noon, Records: []evidence.Record{r}}
	}
	for name, b := range map[string]Batch{
		"invalid data":     with(func(r *evidence.Record) { r.Data = json.RawMessage(`{"a":`) }),
		"data no object":   with(func(r *evidence.Record) { r.Data = json.RawMessage(`"a"`) }),
		"kind not UTF-8":   with(func(r *evidence.Record) { r.Kind = "\xff" }),
		"year":             with(func(r *evidence.Record) { r.Time = time.Date(12000, 1, 1, 0, 0, 0, 0, time.UTC) }),
		"digest with JSON": with(func(r *evidence.Record) { r.Digest = `","class":"fact` }),
		"epoch with JSON":  {Epoch: `"`, First: 1, SentAt: noon, Records: activities(1)},
		"no records":       {Epoch: "e", First: 1, SentAt: noon},
		"too many":         {Epoch: "e", First: 1, SentAt: noon, Records: activities(MaxBatchRecords + 1)},
	} {
		if _, err := EncodeBatch(b); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	big := good
	big.Data = json.RawMessage(`{"a":"` + strings.Repeat("x", 1<<20-20) + `"}`)
	if _, err := EncodeBatch(Batch{Epoch: "e", First: 1, SentAt: noon, Records: []evidence.Record{big, big, big, big, big}}); !errors.Is(err, ErrTooLarge) {
		t.Errorf("five records of 1 MiB: %v", err)
	}
}

func FuzzDecodeBatch(f *testing.F) {
	good, err := EncodeBatch(Batch{Epoch: "e", First: 1, SentAt: noon, Records: activities(2)})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good, false)
	f.Add([]byte(`{"epoch":"e","first":1,"sent_at":"2026-03-03T12:00:00Z","records":[{"class":"fact","kind":"k","time":"2026-03-03T12:00:00Z","data":{"a":[]}}]}`), true)
	f.Fuzz(func(t *testing.T, in []byte, plain bool) {
		if plain {
			in = pack(t, string(in))
		}
		b, err := DecodeBatch(in)
		if err != nil {
			if !errors.Is(err, ErrBatch) {
				t.Fatalf("%v does not wrap ErrBatch", err)
			}
			return
		}
		again, err := EncodeBatch(b)
		if err != nil {
			t.Fatalf("what was decoded cannot be encoded: %v", err)
		}
		b2, err := DecodeBatch(again)
		if err != nil || b2.First != b.First || len(b2.Records) != len(b.Records) {
			t.Fatalf("second round: %v", err)
		}
		for i := range b.Records {
			if !bytes.Equal(b.Records[i].Data, b2.Records[i].Data) {
				t.Fatalf("record %d changed", i)
			}
		}
	})
}

func BenchmarkEncodeBatch(b *testing.B) {
	batch := Batch{Epoch: "e", First: 1, SentAt: noon, Records: activities(MaxBatchRecords)}
	for b.Loop() {
		if _, err := EncodeBatch(batch); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.N)*MaxBatchRecords/b.Elapsed().Seconds(), "records/s")
}

func BenchmarkDecodeBatch(b *testing.B) {
	msg, err := EncodeBatch(Batch{Epoch: "e", First: 1, SentAt: noon, Records: activities(MaxBatchRecords)})
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if _, err := DecodeBatch(msg); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.N)*MaxBatchRecords/b.Elapsed().Seconds(), "records/s")
	b.ReportMetric(float64(len(msg))/MaxBatchRecords, "bytes/record")
}
