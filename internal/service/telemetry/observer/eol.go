package observer

import (
	"strings"
	"time"
)

// supportEnds is when a release of a distribution gets its last security
// updates without a contract: for Debian the end of LTS, for Ubuntu the end of
// standard support, as their publishers announced.
var supportEnds = map[string]string{
	"debian/9": "2022-06-30", "debian/10": "2024-06-30", "debian/11": "2026-08-31",
	"debian/12": "2028-06-30", "debian/13": "2030-06-30",
	"ubuntu/16.04": "2021-04-30", "ubuntu/18.04": "2023-05-31", "ubuntu/20.04": "2025-05-31",
	"ubuntu/22.04": "2027-04-30", "ubuntu/24.04": "2029-04-30", "ubuntu/24.10": "2025-07-10",
	"ubuntu/25.04": "2026-01-15", "ubuntu/25.10": "2026-07-31", "ubuntu/26.04": "2031-04-30",
	"rhel/7": "2024-06-30", "rhel/8": "2029-05-31", "rhel/9": "2032-05-31", "rhel/10": "2035-05-31",
	"centos/7": "2024-06-30", "centos/8": "2024-05-31", "centos/9": "2027-05-31", "centos/10": "2030-01-01",
	"rocky/8": "2029-05-31", "rocky/9": "2032-05-31", "rocky/10": "2035-05-31",
	"almalinux/8": "2029-03-01", "almalinux/9": "2032-05-31", "almalinux/10": "2035-05-31",
	"ol/7": "2024-12-31", "ol/8": "2029-07-31", "ol/9": "2032-06-30",
	"amzn/2": "2026-06-30", "amzn/2023": "2029-06-30",
	"alpine/3.18": "2025-05-09", "alpine/3.19": "2025-11-01", "alpine/3.20": "2026-04-01",
	"alpine/3.21": "2026-11-01", "alpine/3.22": "2027-05-01",
}

// endOfLife tells when security support ends: by SUPPORT_END of os-release(5)
// if the distribution gives it, else by the table; zero if unknown.
func endOfLife(rel map[string]string) time.Time {
	id, version := rel["ID"], rel["VERSION_ID"]
	major, minor, _ := strings.Cut(version, ".")
	if minor, _, _ := strings.Cut(minor, "."); id == "alpine" || id == "ubuntu" {
		major += "." + minor
	}
	for _, day := range []string{rel["SUPPORT_END"], supportEnds[id+"/"+major]} {
		if t, err := time.Parse(time.DateOnly, day); err == nil {
			return t.AddDate(0, 0, 1) // supported to the end of the day
		}
	}
	return time.Time{}
}
