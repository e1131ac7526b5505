package wire

import (
	"errors"
	"fmt"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/klauspost/compress/zstd"

	"github.com/demarc/demarc/internal/evidence"
)

// MaxDepth bounds how deep objects and lists may nest in the data of a record.
const MaxDepth = 64

// maxEpoch bounds the name of a spool.
const maxEpoch = 64

var (
	// ErrBatch is wrapped by every refusal of a malformed batch.
	ErrBatch = errors.New("batch refused")
	// ErrTooLarge says that a batch is above MaxBatchBytes, or above
	// MaxMessageBytes when compressed. The sender sends fewer records.
	ErrTooLarge = fmt.Errorf("%w: too large", ErrBatch)
)

// The coders are safe for concurrent use through EncodeAll and DecodeAll. They
// are made with the package and not at first use, which could lie in a
// synctest bubble: the channels inside would then be closed to all others.
var (
	zstdEncoder = newEncoder()
	zstdDecoder = newDecoder()
)

func newEncoder() *zstd.Encoder {
	e, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(1),
		zstd.WithWindowSize(256<<10), zstd.WithLowerEncoderMem(true))
	if err != nil {
		panic("wire: options of the encoder: " + err.Error())
	}
	e.EncodeAll(nil, nil) // makes the channels
	return e
}

func newDecoder() *zstd.Decoder {
	d, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(0), zstd.WithDecoderMaxMemory(MaxBatchBytes),
		zstd.WithDecoderMaxWindow(MaxBatchBytes))
	if err != nil {
		panic("wire: options of the decoder: " + err.Error())
	}
	return d
}

// EncodeBatch returns b as JSON compressed with Zstandard (RFC 8878). It checks
// every record as DecodeBatch will.
func EncodeBatch(b Batch) ([]byte, error) {
	var buf []byte
	ends := make([]int, len(b.Records))
	for i, r := range b.Records {
		var err error
		if buf, err = AppendRecord(buf, r); err != nil {
			return nil, fmt.Errorf("record %d: %w", i, err)
		}
		ends[i] = len(buf)
	}
	raws := make([][]byte, len(b.Records))
	start := 0
	for i, end := range ends {
		raws[i], start = buf[start:end], end
	}
	return EncodeRaw(b.Epoch, b.First, b.SentAt, raws)
}

// EncodeRaw is EncodeBatch for records that AppendRecord has encoded already.
func EncodeRaw(epoch string, first uint64, sentAt time.Time, records [][]byte) ([]byte, error) {
	if err := checkEnvelope(epoch, first, len(records)); err != nil {
		return nil, err
	}
	size := 160
	for _, r := range records {
		size += len(r) + 1
	}
	if size > MaxBatchBytes {
		return nil, fmt.Errorf("%w: %d bytes, the limit is %d", ErrTooLarge, size, MaxBatchBytes)
	}
	buf := make([]byte, 0, size)
	buf = append(buf, `{"epoch":"`...)
	buf = append(buf, epoch...)
	buf = append(buf, `","first":`...)
	buf = strconv.AppendUint(buf, first, 10)
	buf = append(buf, `,"sent_at":"`...)
	buf = sentAt.UTC().AppendFormat(buf, time.RFC3339Nano)
	buf = append(buf, `","records":[`...)
	for i, r := range records {
		if i > 0 {
			buf = append(buf, ',')
		}
		buf = append(buf, r...)
	}
	buf = append(buf, ']', '}')
	out := zstdEncoder.EncodeAll(buf, make([]byte, 0, len(buf)/4+128))
	if len(out) > MaxMessageBytes {
		return nil, fmt.Errorf("%w: %d bytes compressed, the limit is %d", ErrTooLarge, len(out), MaxMessageBytes)
	}
	return out, nil
}

// AppendRecord checks r and appends its JSON form to dst.
func AppendRecord(dst []byte, r evidence.Record) ([]byte, error) {
	if err := r.Check(); err != nil {
		return nil, err
	}
	if y := r.Time.UTC().Year(); y < 1 || y > 9999 {
		return nil, fmt.Errorf("%w: %s: the year %d is none that RFC 3339 can write", evidence.ErrRecord, r.Kind, y)
	}
	dst = append(dst, `{"class":"`...)
	dst = append(dst, r.Class...)
	dst = append(dst, `","kind":`...)
	dst, err := jsontext.AppendQuote(dst, r.Kind)
	if err != nil {
		return nil, fmt.Errorf("%w: kind: %v", evidence.ErrRecord, err)
	}
	dst = append(dst, `,"time":"`...)
	dst = r.Time.UTC().AppendFormat(dst, time.RFC3339Nano)
	dst = append(dst, '"')
	if len(r.Data) > 0 {
		if err := checkData(r); err != nil {
			return nil, err
		}
		dst = append(dst, `,"data":`...)
		dst = append(dst, r.Data...)
	}
	if r.Digest != "" {
		if !validDigest(r.Digest) {
			return nil, fmt.Errorf("%w: %s: the digest is not of the form sha256:<64 hex digits>", evidence.ErrRecord, r.Kind)
		}
		dst = append(dst, `,"digest":"`...)
		dst = append(dst, r.Digest...)
		dst = append(dst, '"')
	}
	return append(dst, '}'), nil
}

// checkData holds data to one JSON object without duplicate members, invalid
// UTF-8 or deep nesting.
func checkData(r evidence.Record) error {
	if r.Data[0] != '{' || !jsontext.Value(r.Data).IsValid() {
		return fmt.Errorf("%w: %s: data is not one JSON object in UTF-8 with distinct members", evidence.ErrRecord, r.Kind)
	}
	if d := depth(r.Data); d > MaxDepth {
		return fmt.Errorf("%w: %s: data nests %d deep, the limit is %d", evidence.ErrRecord, r.Kind, d, MaxDepth)
	}
	return nil
}

// depth returns how deep valid JSON nests.
func depth(raw []byte) int {
	deepest, now, quoted := 0, 0, false
	for i := 0; i < len(raw); i++ {
		switch c := raw[i]; {
		case quoted && c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == '{' || c == '[':
			now++
			deepest = max(deepest, now)
		case c == '}' || c == ']':
			now--
		}
	}
	return deepest
}

func validDigest(s string) bool {
	const prefix = "sha256:"
	if len(s) != len(prefix)+64 || s[:len(prefix)] != prefix {
		return false
	}
	return isHexLower(s[len(prefix):])
}

func isHexLower(s string) bool {
	for i := range len(s) {
		if c := s[i]; (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return true
}

func checkEnvelope(epoch string, first uint64, n int) error {
	switch {
	case !validEpoch(epoch):
		return fmt.Errorf("%w: epoch must have 1 to %d letters, digits or hyphens", ErrBatch, maxEpoch)
	case n == 0 || n > MaxBatchRecords:
		return fmt.Errorf("%w: %d records, must be 1 to %d", ErrBatch, n, MaxBatchRecords)
	case first == 0 || first+uint64(n) < first:
		return fmt.Errorf("%w: the first sequence %d is out of range", ErrBatch, first)
	}
	return nil
}

func validEpoch(s string) bool {
	if s == "" || len(s) > maxEpoch || !utf8.ValidString(s) {
		return false
	}
	for i := range len(s) {
		c := s[i]
		if !(c == '-' || '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z') {
			return false
		}
	}
	return true
}
