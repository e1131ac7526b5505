package observer

import (
	"bytes"
	"encoding/binary"
	"io"
	"net/netip"
	"os"
	"time"
)

// Records of wtmp(5), btmp and lastlog as glibc writes them on 64-bit Linux,
// in the machine's byte order; all supported machines are little-endian.
const (
	utmpSize    = 384
	lastlogSize = 292
	maxUtmp     = 4 << 20 // bytes of the end of a file that are read

	utmpUser = 7 // USER_PROCESS
)

// utmpRecord is what is used of one record of wtmp(5).
type utmpRecord struct {
	kind int
	line string
	user string
	host string
	at   time.Time
}

// parseUtmp parses whole records; a torn one at the end is left out.
func parseUtmp(b []byte) []utmpRecord {
	out := make([]utmpRecord, 0, len(b)/utmpSize)
	for ; len(b) >= utmpSize; b = b[utmpSize:] {
		r := utmpRecord{
			kind: int(int16(binary.LittleEndian.Uint16(b))),
			line: cstring(b[8:40]),
			user: cstring(b[44:76]),
			host: cstring(b[76:332]),
			at:   time.Unix(int64(binary.LittleEndian.Uint32(b[340:])), 0).UTC(),
		}
		if r.host == "" {
			r.host = utmpAddress(b[348:364])
		}
		out = append(out, r)
	}
	return out
}

// utmpAddress is ut_addr_v6: an IPv4 address in the first four bytes, or IPv6.
func utmpAddress(b []byte) string {
	if bytes.Equal(b, make([]byte, 16)) {
		return ""
	}
	if bytes.Equal(b[4:], make([]byte, 12)) {
		return netip.AddrFrom4([4]byte(b[:4])).String()
	}
	return netip.AddrFrom16([16]byte(b)).Unmap().String()
}

func cstring(b []byte) string {
	if i := bytes.IndexByte(b, 0); i >= 0 {
		b = b[:i]
	}
	return string(b)
}

// utmpFile parses the end of a file of such records.
func (p *probe) utmpFile(name string) ([]utmpRecord, error) {
	return remember(p, name, p.stamp(name), func() ([]utmpRecord, error) {
		f, err := os.Open(p.path(name))
		if err != nil {
			return nil, plain(name, err)
		}
		defer f.Close()
		info, err := f.Stat()
		if err != nil {
			return nil, plain(name, err)
		}
		whole := info.Size() / utmpSize * utmpSize
		b, err := io.ReadAll(io.NewSectionReader(f, max(whole-maxUtmp, 0), maxUtmp))
		if err != nil {
			return nil, plain(name, err)
		}
		return parseUtmp(b), nil
	})
}

// lastLogins tells when each account logged in last, from lastlog and wtmp.
// The second result is false if neither can be read.
func (p *probe) lastLogins(acc *accounts) (map[string]time.Time, bool) {
	out, known := map[string]time.Time{}, false
	if f, err := os.Open(p.path("/var/log/lastlog")); err == nil {
		defer f.Close()
		known = true
		var b [4]byte
		for _, u := range acc.users {
			// The file is sparse and indexed by uid.
			if _, err := f.ReadAt(b[:], int64(u.uid)*lastlogSize); err != nil {
				continue
			}
			if s := binary.LittleEndian.Uint32(b[:]); s != 0 {
				out[u.name] = time.Unix(int64(s), 0).UTC()
			}
		}
	}
	records, err := p.utmpFile("/var/log/wtmp")
	if err == nil {
		known = true
		for _, r := range records {
			if r.kind == utmpUser && r.at.After(out[r.user]) {
				out[r.user] = r.at
			}
		}
	}
	return out, known
}
