package observer

import (
	"bytes"
	"fmt"
	"net"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestFirewallAgainstTheKernel compares the judgement with what the kernel
// does: another namespace, joined by a virtual cable, tries every port. What
// can be reached must be said to be open; unless a rule holds for a part of the
// packets only, what is said to be open can also be reached.
func TestFirewallAgainstTheKernel(t *testing.T) {
	for _, tool := range []string{"ip", "nsenter", "unshare", "bash", "timeout"} {
		if lookPath(tool) == "" {
			t.Skipf("%s is not installed", tool)
		}
	}
	for _, c := range nftCases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			var noCable error
			inNamespace(t, func() {
				pid, end, err := cable()
				if err != nil {
					noCable = err
					return
				}
				defer end()
				for _, port := range []int{22, 5432, 8080} { // as sshAndDB has them
					network := map[bool]string{true: "tcp", false: "tcp4"}[port == 22]
					l, err := (&net.ListenConfig{}).Listen(t.Context(), network, fmt.Sprintf(":%d", port))
					if err != nil {
						t.Error(err)
						return
					}
					defer l.Close()
				}
				if c.rules != "" {
					cmd := exec.Command(lookPath("nft"), "-f", "-")
					cmd.Stdin = strings.NewReader(c.rules)
					if out, err := cmd.CombinedOutput(); err != nil {
						t.Errorf("%v: %s", err, out)
						return
					}
				}
				rules, err := newProbe("/", time.Now).rulesets(t.Context())
				if err != nil {
					t.Error(err)
					return
				}
				said := assess(rules, sshAndDB, adminPorts).OpenToAny
				reached := dial(pid, "1", 22, 5432, 8080)
				if !c.doubtful && !slices.Equal(said, reached) {
					reached = dial(pid, "8", 22, 5432, 8080) // a busy machine may answer late
				}
				for _, port := range reached {
					if !slices.Contains(said, port) {
						t.Errorf("port %d can be reached and is not said to be open (said: %v)", port, said)
					}
				}
				if !c.doubtful && !slices.Equal(said, reached) {
					t.Errorf("said to be open: %v; can be reached: %v", said, reached)
				}
			})
			if noCable != nil {
				t.Skipf("no virtual cable can be made here: %v", noCable)
			}
		})
	}
}

// cable joins the thread's namespace with a new one, which the process pid holds.
func cable() (pid int, end func(), err error) {
	holder := exec.Command(lookPath("unshare"), "--net", "sleep", "60")
	if err := holder.Start(); err != nil {
		return 0, nil, err
	}
	end = func() { _ = holder.Process.Kill(); _ = holder.Wait() }
	pid = holder.Process.Pid
	script := fmt.Sprintf(`set -e
for i in $(seq 100); do [ "$(readlink /proc/%[1]d/ns/net)" != "$(readlink /proc/self/ns/net)" ] && break; sleep 0.02; done
ip link add eth0 address 02:00:00:00:00:01 type veth peer name eth1 address 02:00:00:00:00:02 netns %[1]d
ip addr add 10.99.0.1/24 dev eth0
ip addr add fd99::1/64 dev eth0 nodad
ip link set eth0 up; ip link set lo up
ip -6 neigh replace fd99::2 lladdr 02:00:00:00:00:02 dev eth0 nud permanent # rules may drop neighbour discovery
nsenter -t %[1]d -n ip addr add 10.99.0.2/24 dev eth1
nsenter -t %[1]d -n ip addr add fd99::2/64 dev eth1 nodad
nsenter -t %[1]d -n ip link set eth1 up
nsenter -t %[1]d -n ip -6 neigh replace fd99::1 lladdr 02:00:00:00:00:01 dev eth1 nud permanent`, pid)
	var out bytes.Buffer
	cmd := exec.Command(lookPath("bash"), "-c", script)
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Run(); err != nil {
		end()
		return 0, nil, fmt.Errorf("%w: %s", err, out.String())
	}
	return pid, end, nil
}

// dial tries the ports from the other namespace, by IPv4 and IPv6 at once, and
// returns those that answered.
func dial(pid int, seconds string, ports ...int) []int {
	var out []int
	answers := make(chan int)
	for _, port := range ports {
		for _, host := range []string{"10.99.0.1", "fd99::1"} {
			cmd := exec.Command(lookPath("nsenter"), "-t", fmt.Sprint(pid), "-n", "timeout", seconds, "bash", "-c", fmt.Sprintf("</dev/tcp/%s/%d", host, port))
			go func() {
				if cmd.Run() == nil {
					answers <- port
				} else {
					answers <- 0
				}
			}()
		}
	}
	for range 2 * len(ports) {
		if port := <-answers; port != 0 {
			out = append(out, port)
		}
	}
	return uniq(out)
}
