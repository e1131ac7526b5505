package e2e

import "net"

// freePorts finds addresses of the loopback interface that nobody listens at.
// Another program may take one before it is used; that shows as a failed start.
func freePorts(n int) ([]string, error) {
	var out []string
	for range n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		defer l.Close()
		out = append(out, l.Addr().String())
	}
	return out, nil
}
