package gateway

import (
	"encoding/binary"
	"strings"
	"testing"
)

func packet(kind byte, members ...any) []byte {
	b := []byte{0, 0, 0, 0, kind}
	for _, m := range members {
		switch v := m.(type) {
		case int:
			b = binary.BigEndian.AppendUint32(b, uint32(v))
		case string:
			b = append(binary.BigEndian.AppendUint32(b, uint32(len(v))), v...)
		}
	}
	binary.BigEndian.PutUint32(b, uint32(len(b)-4))
	return b
}

func TestSFTPLog(t *testing.T) {
	for _, piece := range []int{1, 7, 1 << 20} {
		var lines []string
		l := newSFTPLog(func(s string) error { lines = append(lines, s); return nil })
		feed := func(take func([]byte) error, p []byte) {
			t.Helper()
			for len(p) > 0 {
				n := min(piece, len(p))
				if err := take(p[:n]); err != nil {
					t.Fatal(err)
				}
				p = p[n:]
			}
		}
		feed(l.client, packet(sftpInit, 3))
		feed(l.client, packet(sftpOpen, 1, "/etc/shadow", 1, 0))
		feed(l.server, packet(sftpHandle, 1, "h1"))
		feed(l.client, packet(sftpRead, 2, "h1", 0, 0, 32768))
		feed(l.server, packet(sftpData, 2, strings.Repeat("x", 5000)))
		feed(l.client, packet(sftpClose, 3, "h1"))
		feed(l.client, packet(sftpOpen, 4, "/tmp/\x1b]0;x", 0x1a, 0))
		feed(l.server, packet(sftpHandle, 4, "h2"))
		feed(l.client, packet(sftpWrite, 5, "h2", 0, 0, strings.Repeat("y", 9000)))
		feed(l.client, packet(sftpClose, 6, "h2"))
		feed(l.client, packet(sftpRename, 7, "/a", "/b"))
		feed(l.server, packet(sftpStatus, 7, 3, "no", ""))
		feed(l.client, packet(sftpExtended, 8, "posix-rename@openssh.com", "/c", "/d"))
		want := []string{
			`open "/etc/shadow" to read`, `done: open "/etc/shadow" to read: 5000 bytes read, 0 written`,
			`open "/tmp/\x1b]0;x" to write`, `done: open "/tmp/\x1b]0;x" to write: 0 bytes read, 9000 written`,
			`rename "/a" "/b"`, `failed with 3: rename "/a" "/b"`, `extension "posix-rename@openssh.com" "/c"`,
		}
		if strings.Join(lines, "\n") != strings.Join(want, "\n") {
			t.Errorf("in pieces of %d:\n%s\nwant\n%s", piece, strings.Join(lines, "\n"), strings.Join(want, "\n"))
		}
	}
	for name, p := range map[string][]byte{
		"empty": {0, 0, 0, 0, 1}, "endless": {0xff, 0xff, 0xff, 0xff, 3}, "short": packet(sftpOpen, 1), "a length beyond its end": {0, 0, 0, 9, 3, 0, 0, 0, 1, 0, 0, 0, 9},
	} {
		if err := newSFTPLog(func(string) error { return nil }).client(p); err == nil {
			t.Errorf("%s: it was taken", name)
		}
	}
}

// FuzzSFTPLog feeds anything from both sides, whole and in pieces: the lines are
// the same, and nothing panics or grows without bound.
func FuzzSFTPLog(f *testing.F) {
	f.Add(append(packet(sftpOpen, 1, "/x", 1, 0), packet(sftpWrite, 2, "h", 0, 0, "data")...), packet(sftpHandle, 1, "h"), 3)
	f.Fuzz(func(t *testing.T, up, down []byte, piece int) {
		run := func(piece int) (string, bool) {
			var lines strings.Builder
			l := newSFTPLog(func(s string) error { lines.WriteString(s + "\n"); return nil })
			ok := true
			for _, x := range []struct {
				take func([]byte) error
				p    []byte
			}{{l.client, up}, {l.server, down}} {
				for p := x.p; len(p) > 0 && ok; {
					n := min(piece, len(p))
					ok = x.take(p[:n]) == nil
					p = p[n:]
				}
			}
			return lines.String(), ok
		}
		a, okA := run(1 << 20)
		b, okB := run(1 + max(0, piece)%50)
		if a != b || okA != okB {
			t.Errorf("whole %v %q, in pieces %v %q", okA, a, okB, b)
		}
	})
}
