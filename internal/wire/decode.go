package wire

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/demarc/demarc/internal/evidence"
)

// DecodeBatch reads what EncodeBatch wrote and trusts nothing in it: sizes are
// checked before and while decompressing, unknown, missing and duplicate
// members are refused. Every error wraps ErrBatch. Whether a record's values are
// right is left to Record.Check, so that one bad record need not cost the
// others of its batch; the digest has its form, data is an object of bounded
// depth, or missing. The records share one buffer that belongs to the caller.
func DecodeBatch(message []byte) (Batch, error) {
	if len(message) > MaxMessageBytes {
		return Batch{}, fmt.Errorf("%w: %d bytes compressed, the limit is %d", ErrTooLarge, len(message), MaxMessageBytes)
	}
	raw, err := zstdDecoder.DecodeAll(message, nil)
	if err != nil {
		return Batch{}, fmt.Errorf("%w: decompress: %w", ErrBatch, err)
	}
	if len(raw) > MaxBatchBytes {
		return Batch{}, fmt.Errorf("%w: %d bytes, the limit is %d", ErrTooLarge, len(raw), MaxBatchBytes)
	}
	d := batchDecoder{raw: raw, json: jsontext.NewDecoder(bytes.NewBuffer(raw))}
	b, err := d.batch()
	if err != nil {
		if !errors.Is(err, ErrBatch) {
			err = fmt.Errorf("%w: %w", ErrBatch, err)
		}
		return Batch{}, err
	}
	return b, nil
}

// batchDecoder walks the tokens by hand: reflection costs three times as much.
type batchDecoder struct {
	raw  []byte
	json *jsontext.Decoder
}

func (d *batchDecoder) batch() (Batch, error) {
	var b Batch
	var epoch, first, sent, records bool
	err := d.object(func(name string) (err error) {
		switch name {
		case "epoch":
			epoch = true
			b.Epoch, err = d.text()
		case "first":
			first = true
			var tok jsontext.Token
			if tok, err = d.json.ReadToken(); err == nil {
				if tok.Kind() != '0' {
					return errors.New("first is no number")
				}
				b.First, err = strconv.ParseUint(tok.String(), 10, 64)
			}
		case "sent_at":
			sent = true
			b.SentAt, err = d.time()
		case "records":
			records = true
			b.Records, err = d.records()
		default:
			return fmt.Errorf("unknown member %.40q", name)
		}
		return err
	})
	if err != nil {
		return b, err
	}
	if !epoch || !first || !sent || !records {
		return b, errors.New("needs the members epoch, first, sent_at and records")
	}
	if _, err := d.json.ReadToken(); !errors.Is(err, io.EOF) {
		return b, errors.New("something follows the batch")
	}
	return b, checkEnvelope(b.Epoch, b.First, len(b.Records))
}

func (d *batchDecoder) records() ([]evidence.Record, error) {
	if err := d.open('['); err != nil {
		return nil, err
	}
	// A record takes at least some sixty bytes, so that a short message
	// cannot claim room for many.
	out := make([]evidence.Record, 0, min(MaxBatchRecords, len(d.raw)/60+1))
	for d.json.PeekKind() != ']' {
		if len(out) == MaxBatchRecords {
			return nil, fmt.Errorf("more than %d records", MaxBatchRecords)
		}
		r, err := d.record()
		if err != nil {
			return nil, fmt.Errorf("record %d: %w", len(out), err)
		}
		out = append(out, r)
	}
	_, err := d.json.ReadToken()
	return out, err
}

func (d *batchDecoder) record() (evidence.Record, error) {
	var r evidence.Record
	err := d.object(func(name string) (err error) {
		switch name {
		case "class":
			var s string
			s, err = d.text()
			r.Class = evidence.Class(s)
		case "kind":
			r.Kind, err = d.text()
		case "time":
			r.Time, err = d.time()
		case "data":
			r.Data, err = d.data()
		case "digest":
			if r.Digest, err = d.text(); err == nil && !validDigest(r.Digest) {
				return errors.New("digest is not of the form sha256:<64 hex digits>")
			}
		default:
			return fmt.Errorf("unknown member %.40q", name)
		}
		return err
	})
	return r, err
}

// data returns the bytes of an object where they lie in the decompressed
// batch, so that nothing is copied.
func (d *batchDecoder) data() (json.RawMessage, error) {
	v, err := d.json.ReadValue()
	if err != nil {
		return nil, err
	}
	if v.Kind() != '{' {
		return nil, errors.New("data is no object")
	}
	end := d.json.InputOffset()
	start := end - int64(len(v))
	out := d.raw[start:end:end]
	if n := depth(out); n > MaxDepth {
		return nil, fmt.Errorf("data nests %d deep, the limit is %d", n, MaxDepth)
	}
	return json.RawMessage(out), nil
}

func (d *batchDecoder) object(member func(name string) error) error {
	if err := d.open('{'); err != nil {
		return err
	}
	for d.json.PeekKind() != '}' {
		tok, err := d.json.ReadToken()
		if err != nil {
			return err
		}
		if err := member(tok.String()); err != nil {
			return err
		}
	}
	_, err := d.json.ReadToken()
	return err
}

func (d *batchDecoder) open(kind jsontext.Kind) error {
	tok, err := d.json.ReadToken()
	if err != nil {
		return err
	}
	if tok.Kind() != kind {
		return fmt.Errorf("%s where %s belongs", tok.Kind(), kind)
	}
	return nil
}

func (d *batchDecoder) text() (string, error) {
	tok, err := d.json.ReadToken()
	if err != nil {
		return "", err
	}
	if tok.Kind() != '"' {
		return "", fmt.Errorf("%s where a string belongs", tok.Kind())
	}
	return tok.String(), nil
}

func (d *batchDecoder) time() (time.Time, error) {
	s, err := d.text()
	if err != nil {
		return time.Time{}, err
	}
	t, err := time.Parse(time.RFC3339Nano, s)
	if err != nil {
		return time.Time{}, fmt.Errorf("%.40q is no RFC 3339 time", s)
	}
	return t.UTC(), nil
}
