package gateway

import (
	"context"
	"fmt"
	"io"
	"net"
	"strconv"
	"sync"
	"sync/atomic"

	"golang.org/x/crypto/ssh"
)

// direct is the payload of a direct-tcpip channel, RFC 4254 section 7.2.
type direct struct {
	Host       string
	Port       uint32
	Origin     string
	OriginPort uint32
}

// forward passes a connection on from the target, where the grant allows that.
// The recording has where it went and how many bytes; what they were is
// between the user and the service reached.
func (c *conn) forward(ctx context.Context, nc ssh.NewChannel) {
	var d direct
	if ssh.Unmarshal(nc.ExtraData(), &d) != nil || d.Port == 0 || d.Port > 65535 || len(d.Host) > 255 {
		nc.Reject(ssh.ConnectionFailed, "the address cannot be read")
		return
	}
	s := &session{conn: c, width: 80, height: 24}
	rec, err := s.record(ctx, Forward)
	if err != nil {
		nc.Reject(ssh.Prohibited, unrecordable(err))
		return
	}
	why := "the connection ended"
	defer func() { rec.Close(c.why(why)) }()
	// The gateway resolves the name, so that what was checked is what is reached.
	addrs, err := resolve(ctx, d.Host)
	if err == nil {
		err = c.g.noGuest(ctx, addrs)
	} else {
		err = refuse("the name %s is not known here; name an address", clip(d.Host))
	}
	if err != nil {
		why = wordsOf(err)
		nc.Reject(ssh.Prohibited, c.refuse(ctx, "forwarding", why))
		return
	}
	d.Host = addrs[0].String()
	to := net.JoinHostPort(d.Host, strconv.Itoa(int(d.Port)))
	client, err := c.target.dial(ctx, c, rec.ID)
	if err != nil {
		why = wordsOf(err)
		nc.Reject(ssh.ConnectionFailed, why)
		return
	}
	rec.Mark("a connection to " + clip(to))
	far, farRequests, err := client.OpenChannel("direct-tcpip", ssh.Marshal(d))
	if err != nil {
		why = "the target does not connect to it"
		nc.Reject(ssh.ConnectionFailed, why)
		return
	}
	defer far.Close()
	ch, requests, err := nc.Accept()
	if err != nil {
		return
	}
	defer ch.Close()
	go ssh.DiscardRequests(requests)
	go ssh.DiscardRequests(farRequests)
	var sent, received atomic.Int64
	var done sync.WaitGroup
	done.Go(func() { counted(far, ch, &sent); far.CloseWrite() })
	done.Go(func() { counted(ch, far, &received); ch.CloseWrite() })
	finished := make(chan struct{})
	go func() { done.Wait(); close(finished) }()
	select {
	case <-finished:
	case <-rec.Failed():
	case <-ctx.Done():
	}
	rec.Mark(fmt.Sprintf("%d bytes sent, %d received", sent.Load(), received.Load()))
}

func counted(dst io.Writer, src io.Reader, n *atomic.Int64) {
	buf := make([]byte, 32<<10)
	for {
		k, err := src.Read(buf)
		n.Add(int64(k))
		if k > 0 {
			if _, err := dst.Write(buf[:k]); err != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}
