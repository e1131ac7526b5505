// Package wire is what agent and server say to each other: enrolment over
// HTTPS, batches of records up and notes down over the bus. Both ends check
// everything that they receive against the bounds here.
package wire

import (
	"encoding/json"
	"time"

	"github.com/demarc/demarc/internal/evidence"
)

// Bounds of a batch. The bus refuses larger messages.
const (
	MaxBatchRecords = 2000
	MaxBatchBytes   = 4 << 20 // before compression
	MaxMessageBytes = 1 << 20 // after compression
)

// Batch is a run of records of one agent. Which agent of which tenant sent it
// is known from the subject that the bus let it publish to, never from here.
type Batch struct {
	// Epoch names the agent's spool. A new spool begins at sequence 1.
	Epoch string `json:"epoch"`
	// First is the sequence of the first record; the others follow without a gap.
	First uint64 `json:"first"`
	// SentAt is the agent's clock when it published.
	SentAt  time.Time         `json:"sent_at"`
	Records []evidence.Record `json:"records"`
}

// EnrolRequest asks for an identity. The token goes in the Authorization header.
type EnrolRequest struct {
	// PublicKey is an NKey of kind user; the agent keeps the seed.
	PublicKey string `json:"public_key"`
	// Hostname proposes the VM's name where the token does not set one.
	Hostname string `json:"hostname"`
	// MachineID is a digest of the machine's id, to tell clones apart.
	MachineID string `json:"machine_id"`
	Software  string `json:"software"`
}

// Identity is what an agent is given at enrolment and, except for the names,
// again at every renewal.
type Identity struct {
	Agent  string `json:"agent"`
	Tenant string `json:"tenant"`
	VM     string `json:"vm"`
	VMName string `json:"vm_name"`
	// JWT admits the agent to the bus together with its seed, until ExpiresAt.
	JWT       string    `json:"jwt"`
	ExpiresAt time.Time `json:"expires_at"`
	// BusURLs are the bus servers, and CA the PEM certificates that vouch for
	// them and for the server's HTTPS address.
	BusURLs []string `json:"bus_urls"`
	CA      string   `json:"ca"`
	// Keys is, at enrolment, how the tenant's keys came to be (decision.History);
	// missing where it has none. The agent takes the set whose digest it was told.
	Keys json.RawMessage `json:"keys,omitempty"`
}

// RenewRequest asks for a new JWT. Signature is base64url of the agent's NKey
// signature over RenewMessage of the other members.
type RenewRequest struct {
	Agent     string    `json:"agent"`
	Time      time.Time `json:"time"`
	Nonce     string    `json:"nonce"`
	Signature string    `json:"signature"`
}

// RenewMessage returns the bytes that a renewal signs.
func RenewMessage(r RenewRequest) []byte {
	return []byte("demarc-renew-v1\n" + r.Agent + "\n" + r.Time.UTC().Format(time.RFC3339Nano) + "\n" + r.Nonce)
}

// Note is what the server tells an agent.
type Note struct {
	// Type is "refresh" (observe everything now), "resync" (send full facts,
	// the server has lost or never had them) or "policy" (look for policies).
	Type string          `json:"type"`
	Data json.RawMessage `json:"data,omitempty"`
}

// Types of Note.
const (
	NoteRefresh = "refresh"
	NoteResync  = "resync"
	NotePolicy  = "policy"
)

// Subjects of an agent inside its tenant's bus account. An agent may publish
// to RecordsSubject, listen to NotesSubject, and nothing else.
func RecordsSubject(agent string) string { return "records." + agent }

// NotesSubject is where an agent hears from the server.
func NotesSubject(agent string) string { return "notes." + agent }

// KindAgent is the fact that every agent gives about itself.
const KindAgent = "agent.state"

// AgentState is the data of the agent.state fact: what the agent watches, what
// it does not and why, and what was lost.
type AgentState struct {
	Software  string         `json:"software"`
	StartedAt time.Time      `json:"started_at"`
	Services  []AgentService `json:"services"`
	// Shed counts records dropped for want of spool room, by class, since the spool began.
	ShedFacts      int    `json:"shed_facts"`
	ShedFindings   int    `json:"shed_findings"`
	ShedActivities int    `json:"shed_activities"`
	ShedLastDay    int    `json:"shed_last_day" doc:"all classes, in the last 24 hours, to the hour"`
	Refused        int    `json:"refused" doc:"records refused as malformed or too large"`
	Lost           int    `json:"lost" doc:"records that the disk did not give back"`
	SpoolBytes     int64  `json:"spool_bytes" doc:"room taken by records that wait to be sent, in steps of 1 MiB"`
	SpoolFault     string `json:"spool_fault,omitempty" doc:"why the spool cannot take records now"`
	// Keys is missing where the machine trusts no keys of the customer.
	Keys            *AgentKeys     `json:"customer_keys,omitempty" doc:"the customer's keys that policies must be signed by"`
	Policies        []AgentPolicy  `json:"policies,omitempty" doc:"policies that it obeys"`
	RefusedPolicies []AgentRefusal `json:"refused_policies,omitempty" doc:"policies that it refuses"`
}

// AgentService is one service as the agent runs it.
type AgentService struct {
	Name     string          `json:"name"`
	Running  bool            `json:"running"`
	Fault    string          `json:"fault,omitempty" doc:"why it stopped last"`
	Coverage []AgentCoverage `json:"coverage"`
}

// AgentCoverage mirrors service.Coverage.
type AgentCoverage struct {
	Aspect  string `json:"aspect"`
	Watched bool   `json:"watched"`
	Reason  string `json:"reason,omitempty"`
}

// AgentKind is the form of the agent.state fact.
var AgentKind = evidence.KindOf[AgentState](KindAgent, evidence.ScopeVM, time.Minute, "What the agent watches and what it lost.")
