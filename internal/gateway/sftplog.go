package gateway

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strconv"
	"sync"
)

// Packet types of the SSH File Transfer Protocol, version 3
// (draft-ietf-secsh-filexfer-02, section 3), which OpenSSH speaks.
const (
	sftpInit     = 1
	sftpOpen     = 3
	sftpClose    = 4
	sftpRead     = 5
	sftpWrite    = 6
	sftpSetstat  = 9
	sftpOpendir  = 11
	sftpRemove   = 13
	sftpMkdir    = 14
	sftpRmdir    = 15
	sftpRename   = 18
	sftpReadlink = 19
	sftpSymlink  = 20
	sftpStatus   = 101
	sftpHandle   = 102
	sftpData     = 103
	sftpExtended = 200
)

// sftpWords are the operations that are recorded by themselves, with how many
// paths each names.
var sftpWords = map[byte]struct {
	words string
	paths int
}{
	sftpOpen: {"open", 1}, sftpSetstat: {"change attributes of", 1}, sftpOpendir: {"list", 1}, sftpRemove: {"remove", 1},
	sftpMkdir: {"make directory", 1}, sftpRmdir: {"remove directory", 1}, sftpRename: {"rename", 2}, sftpReadlink: {"read link", 1},
	sftpSymlink: {"link", 2},
}

const (
	// sftpHead is how much of a packet with file data is looked at; sftpWhole how
	// long any other packet may be (OpenSSH's own limit is 256 KiB).
	sftpHead  = 1024
	sftpWhole = 256 << 10
	// sftpOpenMost bounds what a client has open or waits for.
	sftpOpenMost = 4096
)

var errSFTP = errors.New("the file transfer cannot be read, so it cannot be recorded")

// sftpLog turns a file transfer into lines: each operation with its paths, and
// for each file how many bytes were read and written. Contents are not kept.
type sftpLog struct {
	line func(string) error

	mu       sync.Mutex
	up, down packets
	asked    map[uint32]string    // guarded by mu; what a request was for
	reading  map[uint32]string    // guarded by mu; the handle that a read is of
	files    map[string]*sftpFile // guarded by mu; open files by handle
}

type sftpFile struct {
	what          string // how it was opened
	read, written int64
}

func newSFTPLog(line func(string) error) *sftpLog {
	return &sftpLog{line: line, asked: map[uint32]string{}, reading: map[uint32]string{}, files: map[string]*sftpFile{}}
}

// client takes what the client sends.
func (l *sftpLog) client(p []byte) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.up.feed(p, l.request)
}

// server takes what the target sends.
func (l *sftpLog) server(p []byte) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.down.feed(p, l.answer)
}

// request records a request of the client.
func (l *sftpLog) request(kind byte, b body) error {
	if kind == sftpInit {
		return nil
	}
	id := b.number()
	if len(l.asked) > sftpOpenMost || len(l.reading) > sftpOpenMost || len(l.files) > sftpOpenMost {
		return fmt.Errorf("%w: too much is open at once", errSFTP)
	}
	switch kind {
	case sftpRead:
		l.reading[id] = b.text()
	case sftpWrite:
		handle := b.text()
		b.number()
		b.number() // the offset
		if f := l.files[handle]; f != nil {
			f.written += int64(b.number())
		}
	case sftpClose:
		handle := b.text()
		if f := l.files[handle]; f != nil {
			delete(l.files, handle)
			return l.line(fmt.Sprintf("done: %s: %d bytes read, %d written", f.what, f.read, f.written))
		}
	case sftpExtended:
		what := strconv.Quote(b.text()) + " " + strconv.Quote(b.text())
		l.asked[id] = what
		return l.line("extension " + clip(what))
	default:
		op, ok := sftpWords[kind]
		if !ok {
			break
		}
		what := op.words
		for range op.paths {
			what += " " + clipPath(b.text())
		}
		if kind == sftpOpen {
			what += openFlags(b.number())
		}
		l.asked[id] = what
		if b.short {
			return fmt.Errorf("%w: a packet is too short", errSFTP)
		}
		return l.line(what)
	}
	if b.short {
		return fmt.Errorf("%w: a packet is too short", errSFTP)
	}
	return nil
}

// answer takes in what the target says about a request.
func (l *sftpLog) answer(kind byte, b body) error {
	id := b.number()
	switch kind {
	case sftpHandle:
		l.files[b.text()] = &sftpFile{what: l.asked[id]}
		delete(l.asked, id)
	case sftpData:
		if f := l.files[l.reading[id]]; f != nil {
			f.read += int64(b.number())
		}
		delete(l.reading, id)
	case sftpStatus:
		what, asked := l.asked[id]
		delete(l.asked, id)
		delete(l.reading, id)
		if code := b.number(); asked && code != 0 {
			return l.line(fmt.Sprintf("failed with %d: %s", code, what))
		}
	default:
		delete(l.asked, id)
	}
	return nil
}

func clipPath(path string) string {
	if len(path) > 1000 {
		path = path[:997] + "..."
	}
	return strconv.Quote(path)
}

// openFlags says what a file is opened for (section 6.3).
func openFlags(f uint32) string {
	switch {
	case f&2 != 0 && f&1 != 0:
		return " to read and write"
	case f&2 != 0:
		return " to write"
	}
	return " to read"
}

// packets takes a stream apart into packets, of which it keeps the beginning
// where they are of file data.
type packets struct {
	head []byte // length, type and what is looked at of the body
	skip int    // what of a packet is still to pass by
}

func (p *packets) feed(in []byte, take func(kind byte, b body) error) error {
	for len(in) > 0 {
		if p.skip > 0 {
			n := min(p.skip, len(in))
			p.skip -= n
			in = in[n:]
			continue
		}
		want := 5
		if len(p.head) >= 5 {
			var err error
			if want, err = lookedAt(p.head); err != nil {
				return err
			}
		}
		n := min(want-len(p.head), len(in))
		p.head = append(p.head, in[:n]...)
		in = in[n:]
		if len(p.head) < 5 {
			continue
		}
		want, err := lookedAt(p.head)
		if err != nil {
			return err
		}
		if len(p.head) < want {
			continue
		}
		length := int(binary.BigEndian.Uint32(p.head))
		p.skip = 4 + length - want
		err = take(p.head[4], body{rest: p.head[5:]})
		p.head = p.head[:0]
		if err != nil {
			return err
		}
	}
	return nil
}

// lookedAt is how many bytes of the packet that begins with head are kept.
func lookedAt(head []byte) (int, error) {
	length := binary.BigEndian.Uint32(head)
	kind := head[4]
	whole := 4 + int(length)
	switch {
	case length < 1:
		return 0, fmt.Errorf("%w: a packet is empty", errSFTP)
	case length > sftpWhole+sftpHead:
		return 0, fmt.Errorf("%w: a packet has %d bytes", errSFTP, length)
	case kind == sftpWrite || kind == sftpData:
		return min(whole, sftpHead), nil
	}
	return whole, nil
}

// body reads the members of a packet. short is set where it ends too early.
type body struct {
	rest  []byte
	short bool
}

func (b *body) number() uint32 {
	if len(b.rest) < 4 {
		b.short, b.rest = true, nil
		return 0
	}
	n := binary.BigEndian.Uint32(b.rest)
	b.rest = b.rest[4:]
	return n
}

func (b *body) text() string {
	n := b.number()
	if b.short || uint64(n) > uint64(len(b.rest)) {
		b.short, b.rest = true, nil
		return ""
	}
	s := string(b.rest[:n])
	b.rest = b.rest[n:]
	return s
}
