package spool

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"
)

// counters is what the spool remembers beside its records. It is small enough
// to be written in place at every change, which survives the death of the
// process; the death of the machine may cost the last seconds of it, and then
// records are sent twice or a loss is counted too low, but none is lost.
type counters struct {
	version uint64 // grows with every write
	cut     uint64 // every record up to here is safe with the server
	shed    [3]uint64
	refused uint64
	lost    uint64
	damaged uint64 // losses up to this sequence are in lost already
}

const slotBytes = 8*8 + 4

// stateFile keeps counters in two slots that are written in turn, so that a
// torn write spoils only the newer one.
type stateFile struct {
	f *os.File
}

func openState(dir string) (stateFile, counters, error) {
	f, err := os.OpenFile(filepath.Join(dir, "state"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return stateFile{}, counters{}, fmt.Errorf("open spool state: %w", err)
	}
	var best counters
	for slot := range int64(2) {
		b := make([]byte, slotBytes)
		if n, _ := f.ReadAt(b, slot*slotBytes); n != slotBytes {
			continue
		}
		if c, ok := decodeCounters(b); ok && c.version > best.version {
			best = c
		}
	}
	return stateFile{f}, best, nil
}

func (s stateFile) write(c *counters) error {
	c.version++
	_, err := s.f.WriteAt(c.encode(), int64(c.version%2)*slotBytes)
	if err != nil {
		return fmt.Errorf("write spool state: %w", err)
	}
	return nil
}

func (c *counters) encode() []byte {
	b := make([]byte, 0, slotBytes)
	for _, v := range []uint64{c.version, c.cut, c.shed[0], c.shed[1], c.shed[2], c.refused, c.lost, c.damaged} {
		b = binary.BigEndian.AppendUint64(b, v)
	}
	return binary.BigEndian.AppendUint32(b, crc32.Checksum(b, castagnoli))
}

func decodeCounters(b []byte) (counters, bool) {
	if crc32.Checksum(b[:slotBytes-4], castagnoli) != binary.BigEndian.Uint32(b[slotBytes-4:]) {
		return counters{}, false
	}
	at := func(i int) uint64 { return binary.BigEndian.Uint64(b[8*i:]) }
	return counters{version: at(0), cut: at(1), shed: [3]uint64{at(2), at(3), at(4)}, refused: at(5), lost: at(6), damaged: at(7)}, true
}
