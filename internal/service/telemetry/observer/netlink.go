package observer

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"slices"

	"golang.org/x/sys/unix"
)

type netlinkMessage struct {
	kind uint16
	data []byte
}

// netlinkAsk sends one request and gathers the replies until the last one. It
// waits two seconds at most.
func netlinkAsk(protocol int, kind uint16, flags uint16, payload []byte) ([]netlinkMessage, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, protocol)
	if err != nil {
		return nil, os.NewSyscallError("netlink socket", err)
	}
	defer unix.Close(fd)
	if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Sec: 2}); err != nil {
		return nil, os.NewSyscallError("netlink timeout", err)
	}
	msg := make([]byte, unix.NLMSG_HDRLEN, unix.NLMSG_HDRLEN+len(payload))
	binary.NativeEndian.PutUint32(msg[0:], uint32(unix.NLMSG_HDRLEN+len(payload)))
	binary.NativeEndian.PutUint16(msg[4:], kind)
	binary.NativeEndian.PutUint16(msg[6:], flags)
	binary.NativeEndian.PutUint32(msg[8:], 1)
	if err := unix.Sendto(fd, append(msg, payload...), 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return nil, os.NewSyscallError("netlink request", err)
	}
	var out []netlinkMessage
	buf := make([]byte, 64<<10)
	for range 1000 {
		n, _, err := unix.Recvfrom(fd, buf, 0)
		if err != nil {
			return nil, os.NewSyscallError("netlink reply", err)
		}
		messages, last, err := parseNetlink(buf[:n])
		out = append(out, messages...)
		if err != nil || last || flags&unix.NLM_F_DUMP != unix.NLM_F_DUMP {
			return out, err
		}
	}
	return nil, errors.New("the kernel's netlink reply does not end")
}

// parseNetlink splits a datagram into messages. last says that the reply is over.
func parseNetlink(b []byte) (out []netlinkMessage, last bool, err error) {
	for len(b) >= unix.NLMSG_HDRLEN {
		n := binary.NativeEndian.Uint32(b)
		if n < unix.NLMSG_HDRLEN || uint64(n) > uint64(len(b)) {
			return out, true, errors.New("malformed netlink message")
		}
		kind, data := binary.NativeEndian.Uint16(b[4:]), b[unix.NLMSG_HDRLEN:n]
		switch kind {
		case unix.NLMSG_DONE:
			return out, true, nil
		case unix.NLMSG_ERROR:
			if len(data) < 4 {
				return out, true, errors.New("malformed netlink error")
			}
			if code := int32(binary.NativeEndian.Uint32(data)); code != 0 {
				return out, true, fmt.Errorf("the kernel refused: %w", unix.Errno(-code))
			}
		default:
			out = append(out, netlinkMessage{kind, slices.Clone(data)})
		}
		b = b[min((n+3)&^3, uint32(len(b))):]
	}
	return out, false, nil
}
