package console

import (
	"cmp"
	"encoding/json"
	"slices"
	"time"

	"github.com/demarc/demarc/api"
)

// knownFacts are the facts that the VM page tells in words. Each is nil where
// it is missing or cannot be read; the page shows every fact as JSON anyway.
// The members are those of the fact kinds, GET /v1/fact-kinds.
type knownFacts struct {
	OS        *factOS
	Resources *factResources
	Agent     *factAgent
	Hardening *factHardening
	Listeners *factListeners
	Users     *factUsers
	Updates   *factUpdates
	Reboot    *factReboot
	// Seen is when each kind was observed.
	Seen map[string]time.Time
}

type factOS struct {
	Hostname, Name, Kernel, Architecture, Virtualization string
	BootedAt                                             time.Time `json:"booted_at"`
	EndOfLife                                            time.Time `json:"end_of_life"`
	SupportEnded                                         bool      `json:"support_ended"`
	SecureBoot                                           string    `json:"secure_boot"`
}

type factResources struct {
	CPUs          float64
	CPUBusy       float64 `json:"cpu_busy"`
	Load1         float64
	MemoryBytes   float64 `json:"memory_bytes"`
	MemoryUsed    float64 `json:"memory_used"`
	DiskUsedRatio float64 `json:"disk_used_ratio"`
	FullestMount  string  `json:"fullest_mount"`
	UptimeSeconds float64 `json:"uptime_seconds"`
	Processes     float64
}

// Uptime is since when the machine runs.
func (r factResources) Uptime() string {
	return span(time.Duration(r.UptimeSeconds) * time.Second)
}

type factAgent struct {
	Software       string
	StartedAt      time.Time `json:"started_at"`
	Services       []factAgentService
	ShedFacts      int     `json:"shed_facts"`
	ShedFindings   int     `json:"shed_findings"`
	ShedActivities int     `json:"shed_activities"`
	Refused        int     `json:"refused"`
	SpoolBytes     float64 `json:"spool_bytes"`
	SpoolFault     string  `json:"spool_fault"`
}

type factAgentService struct {
	Name     string
	Running  bool
	Fault    string
	Coverage []struct {
		Aspect  string
		Watched bool
		Reason  string
	}
}

// Shed is how many records the agent lost.
func (a factAgent) Shed() int { return a.ShedFacts + a.ShedFindings + a.ShedActivities }

// Watched counts the aspects that are watched, of all.
func (a factAgent) Watched() (n [2]int) {
	for _, s := range a.Services {
		for _, c := range s.Coverage {
			n[1]++
			if c.Watched {
				n[0]++
			}
		}
	}
	return n
}

type factHardening struct {
	Baseline, Version                      string
	Rules, Passed, Failed, Waived, Unknown int
	NotApplicable                          int `json:"not_applicable"`
	Score                                  float64
	Results                                []factRule
}

type factRule struct {
	ID, Title, Category, Severity, Status, Message, Remedy string
}

var severityOrder = []string{"high", "medium", "low"}

// FailedRules are the failed ones, severe first.
func (h factHardening) FailedRules() []factRule {
	var out []factRule
	for _, r := range h.Results {
		if r.Status == "fail" {
			out = append(out, r)
		}
	}
	slices.SortStableFunc(out, func(a, b factRule) int {
		return cmp.Or(slices.Index(severityOrder, a.Severity)-slices.Index(severityOrder, b.Severity), cmp.Compare(a.ID, b.ID))
	})
	return out
}

// Counts lets the rules be drawn as duties are.
func (h factHardening) Counts() api.Counts {
	return api.Counts{Met: h.Passed, NotMet: h.Failed, Unknown: h.Unknown, NotApplicable: h.NotApplicable, Waived: h.Waived}
}

type factListeners struct {
	Listeners []struct {
		Protocol, Address string
		Port              int
		Loopback          bool
		Process, User     string
	}
}

type factUsers struct {
	Users []struct {
		Name      string
		UID       int
		Shell     string
		Password  string
		CanLogin  bool      `json:"can_login"`
		Admin     bool      `json:"admin"`
		LastLogin time.Time `json:"last_login"`
	}
}

// People are the accounts that somebody can log in to.
func (u factUsers) People() (n int) {
	for _, a := range u.Users {
		if a.CanLogin {
			n++
		}
	}
	return n
}

type factUpdates struct {
	Manager         string
	Pending         int
	PendingSecurity int       `json:"pending_security"`
	OldestDays      int       `json:"oldest_days"`
	ListsAt         time.Time `json:"lists_at"`
	Automatic       bool
	Security        []struct{ Name, Installed, Candidate string }
}

type factReboot struct {
	Needed  bool
	Reasons []string
}

// know decodes the facts that the page tells in words.
func know(facts []api.Fact) knownFacts {
	k := knownFacts{Seen: map[string]time.Time{}}
	for _, f := range facts {
		k.Seen[f.Kind] = f.ObservedAt
		switch f.Kind {
		case "host.os":
			k.OS = decode[factOS](f.Data)
		case "host.resources":
			k.Resources = decode[factResources](f.Data)
		case "agent.state":
			k.Agent = decode[factAgent](f.Data)
		case "hardening.result":
			k.Hardening = decode[factHardening](f.Data)
		case "host.listeners":
			k.Listeners = decode[factListeners](f.Data)
		case "host.users":
			k.Users = decode[factUsers](f.Data)
		case "host.updates":
			k.Updates = decode[factUpdates](f.Data)
		case "host.reboot":
			k.Reboot = decode[factReboot](f.Data)
		}
	}
	return k
}

func decode[T any](raw json.RawMessage) *T {
	v := new(T)
	if json.Unmarshal(raw, v) != nil {
		return nil
	}
	return v
}
