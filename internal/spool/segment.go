package spool

import (
	"crypto/rand"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/demarc/demarc/internal/evidence"
)

// A segment file is a header and then frames, all integers big-endian:
//
//	header  "demarcS1"  epoch [16]byte  first uint64  crc uint32
//	frame   length uint32  crc uint32  seq uint64  class byte  payload
//
// The checksums are CRC-32C (Castagnoli, RFC 3720 section 12.1) over
// everything else in the header or frame. Frames carry their sequence so that
// the frames behind a damaged one can be found again.
const (
	magic       = "demarcS1"
	headerBytes = 8 + 16 + 8 + 4
	frameBytes  = 4 + 4 + 8 + 1
	// maxPayload leaves room for the envelope of the largest record.
	maxPayload = evidence.MaxRecordBytes + 4096
	suffix     = ".seg"
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// errDamage says that stored bytes are not what was written.
var errDamage = errors.New("damaged")

// epochID names one life of a spool.
type epochID [16]byte

func newEpoch() epochID {
	var e epochID
	rand.Read(e[:])
	return e
}

func (e epochID) String() string { return hex.EncodeToString(e[:]) }

// segment is one file of the log. The spool's mutex guards it.
type segment struct {
	path  string
	first uint64
	size  int64 // durable bytes
}

func segmentPath(dir string, first uint64) string {
	return filepath.Join(dir, fmt.Sprintf("%020d%s", first, suffix))
}

// listSegments returns the segments of dir in order, by name alone.
func listSegments(dir string) ([]*segment, error) {
	names, err := filepath.Glob(filepath.Join(dir, "*"+suffix))
	if err != nil {
		return nil, err
	}
	var out []*segment
	for _, path := range names {
		first, err := strconv.ParseUint(strings.TrimSuffix(filepath.Base(path), suffix), 10, 64)
		if err != nil {
			continue
		}
		info, err := os.Stat(path)
		if err != nil {
			return nil, err
		}
		out = append(out, &segment{path: path, first: first, size: info.Size()})
	}
	slices.SortFunc(out, func(a, b *segment) int {
		if a.first < b.first {
			return -1
		}
		return 1
	})
	return out, nil
}

func encodeHeader(e epochID, first uint64) []byte {
	b := make([]byte, 0, headerBytes)
	b = append(b, magic...)
	b = append(b, e[:]...)
	b = binary.BigEndian.AppendUint64(b, first)
	return binary.BigEndian.AppendUint32(b, crc32.Checksum(b, castagnoli))
}

func readHeader(r io.ReaderAt, first uint64) (epochID, error) {
	var e epochID
	b := make([]byte, headerBytes)
	if _, err := r.ReadAt(b, 0); err != nil && err != io.EOF {
		return e, err
	}
	sum := binary.BigEndian.Uint32(b[headerBytes-4:])
	if string(b[:8]) != magic || crc32.Checksum(b[:headerBytes-4], castagnoli) != sum || binary.BigEndian.Uint64(b[24:]) != first {
		return e, fmt.Errorf("header: %w", errDamage)
	}
	copy(e[:], b[8:])
	return e, nil
}

func appendFrame(dst []byte, seq uint64, class byte, payload []byte) []byte {
	at := len(dst)
	dst = binary.BigEndian.AppendUint32(dst, uint32(len(payload)))
	dst = append(dst, 0, 0, 0, 0)
	dst = binary.BigEndian.AppendUint64(dst, seq)
	dst = append(dst, class)
	dst = append(dst, payload...)
	binary.BigEndian.PutUint32(dst[at+4:], frameSum(dst[at:]))
	return dst
}

func frameSum(frame []byte) uint32 {
	return crc32.Update(crc32.Checksum(frame[:4], castagnoli), castagnoli, frame[8:])
}

// parseFrame reads the frame at the beginning of b. n is its length; io.EOF
// means that b ends before the frame does.
func parseFrame(b []byte) (seq uint64, payload []byte, n int, err error) {
	if len(b) < frameBytes {
		return 0, nil, frameBytes, io.EOF
	}
	length := binary.BigEndian.Uint32(b)
	if length > maxPayload {
		return 0, nil, 0, errDamage
	}
	n = frameBytes + int(length)
	if len(b) < n {
		return 0, nil, n, io.EOF
	}
	if frameSum(b[:n]) != binary.BigEndian.Uint32(b[4:]) {
		return 0, nil, 0, errDamage
	}
	return binary.BigEndian.Uint64(b[8:]), b[frameBytes:n], n, nil
}

// findFrame returns the offset in b of the first whole frame whose sequence
// lies above after and not further than the bytes of b could hold.
func findFrame(b []byte, after uint64) (offset int, seq uint64, ok bool) {
	limit := after + 1 + uint64(len(b)/frameBytes) + 1<<16
	for i := 0; i+frameBytes <= len(b); i++ {
		s := binary.BigEndian.Uint64(b[i+8:])
		if s <= after || s > limit {
			continue
		}
		if s, _, _, err := parseFrame(b[i:]); err == nil {
			return i, s, true
		}
	}
	return 0, 0, false
}
