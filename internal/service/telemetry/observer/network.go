package observer

import (
	"context"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"

	"github.com/demarc/demarc/internal/service/telemetry"
)

const maxInterfaces = 500

func collectNetwork(_ context.Context, p *probe) (any, error) {
	names, err := p.list("/sys/class/net")
	if err != nil {
		return nil, fmt.Errorf("network interfaces cannot be read: %w", err)
	}
	var f telemetry.Network
	for _, name := range names[:min(len(names), maxInterfaces)] {
		dir := "/sys/class/net/" + name
		flags, err := strconv.ParseUint(strings.TrimPrefix(p.text(dir+"/flags"), "0x"), 16, 32)
		if err != nil {
			continue // a file such as bonding_masters
		}
		i := telemetry.Interface{Name: name, MAC: p.text(dir + "/address"), Up: flags&0x1 != 0}
		if i.MAC == "00:00:00:00:00:00" {
			i.MAC = ""
		}
		i.Addresses = interfaceAddresses(p, name)
		for _, a := range i.Addresses {
			if ip, _, err := net.ParseCIDR(a); err == nil && ip.To4() == nil && ip.IsGlobalUnicast() && !ip.IsPrivate() {
				f.IPv6 = true
			}
		}
		if i.Up && (p.exists(dir+"/wireless") || p.exists(dir+"/phy80211")) {
			f.Wireless = append(f.Wireless, name)
		}
		if flags&0x100 != 0 {
			f.Promiscuous = append(f.Promiscuous, name)
		}
		f.Interfaces = append(f.Interfaces, i)
	}
	lines([]byte(p.config("/etc/resolv.conf")), func(_ int, line string) {
		if w := strings.Fields(line); len(w) >= 2 && w[0] == "nameserver" && len(f.DNS) < 20 {
			f.DNS = append(f.DNS, w[1])
		}
	})
	f.DNS = uniq(f.DNS)
	f.Forwarding = p.text("/proc/sys/net/ipv4/ip_forward") == "1" || p.text("/proc/sys/net/ipv6/conf/all/forwarding") == "1"
	return f, nil
}

// interfaceAddresses asks the kernel of the running machine.
func interfaceAddresses(p *probe, name string) []string {
	if !p.live {
		return nil
	}
	i, err := net.InterfaceByName(name)
	if err != nil {
		return nil
	}
	addrs, err := i.Addrs()
	if err != nil {
		return nil
	}
	var out []string
	for _, a := range addrs[:min(len(addrs), 100)] {
		out = append(out, a.String())
	}
	slices.Sort(out)
	return out
}
