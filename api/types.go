// Package api holds the public types of demarc's HTTP API and a client for it.
// The API is described as OpenAPI 3.1 at /openapi.json; errors are problem
// details (RFC 9457). Times are RFC 3339 in UTC.
package api

import (
	"encoding/json"
	"time"
)

// Tenant is a customer of the provider, or the provider's own tenant.
type Tenant struct {
	ID        string    `json:"id"`
	Name      string    `json:"name" doc:"1 to 63 lower-case letters, digits, '.', '_' or '-'"`
	Own       bool      `json:"own" doc:"a tenant of the provider's own hosts, in which the provider is the customer"`
	CreatedAt time.Time `json:"created_at"`
	Version   int64     `json:"version" doc:"raised with every change; the ETag"`
}

// VDC is a virtual data centre.
type VDC struct {
	ID        string    `json:"id"`
	Tenant    string    `json:"tenant" doc:"id of the tenant"`
	Name      string    `json:"name"`
	CreatedAt time.Time `json:"created_at"`
	Version   int64     `json:"version"`
}

// VM is a virtual machine.
type VM struct {
	ID        string      `json:"id"`
	Tenant    string      `json:"tenant" doc:"id of the tenant"`
	VDC       string      `json:"vdc" doc:"id of the VDC"`
	Name      string      `json:"name"`
	State     string      `json:"state" enum:"ordered,provisioning,active,suspended,disabled,retained,sanitizing,deleted"`
	Declared  Declaration `json:"declared"`
	Agents    []Agent     `json:"agents" doc:"agents that report for it"`
	Verdicts  Counts      `json:"verdicts" doc:"its duties by verdict"`
	CreatedAt time.Time   `json:"created_at"`
	Version   int64       `json:"version"`
}

// Declaration is what the customer declares about a VM; duties compare with it
// what is seen.
type Declaration struct {
	Role           string   `json:"role,omitempty" doc:"what it is for, in a word"`
	Environment    string   `json:"environment,omitempty" doc:"production, test, development or another name"`
	Accountable    string   `json:"accountable,omitempty" doc:"id of the contact who answers for it"`
	Listeners      []string `json:"listeners,omitempty" doc:"sockets it is meant to offer, as tcp/443"`
	Services       []string `json:"services,omitempty" doc:"units it is meant to run"`
	SensitivePaths []string `json:"sensitive_paths,omitempty" doc:"directories whose data must be encrypted"`
	AdminSources   []string `json:"admin_sources,omitempty" doc:"CIDR prefixes that administrators come from"`
	Administrators []string `json:"administrators,omitempty" doc:"accounts of its registered administrators"`
	Unmanaged      string   `json:"unmanaged,omitempty" doc:"accepted reason why no agent runs on it"`
}

// Counts counts duties by verdict.
type Counts struct {
	Met           int `json:"met"`
	NotMet        int `json:"not_met"`
	Unknown       int `json:"unknown"`
	NotApplicable int `json:"not_applicable"`
	Waived        int `json:"waived"`
}

// Contact is a person to be told. These members are all that is kept.
type Contact struct {
	ID        string     `json:"id"`
	Tenant    string     `json:"tenant"`
	Role      string     `json:"role" enum:"administrator,security,billing"`
	Name      string     `json:"name"`
	Mail      string     `json:"mail"`
	Telephone string     `json:"telephone,omitempty"`
	Verified  *time.Time `json:"verified,omitempty"`
	CreatedAt time.Time  `json:"created_at"`
	Version   int64      `json:"version"`
}

// Subscription is a managed service bought for some VMs for some time.
type Subscription struct {
	ID      string     `json:"id"`
	Tenant  string     `json:"tenant"`
	Service string     `json:"service"`
	Covers  Coverage   `json:"covers"`
	From    time.Time  `json:"from"`
	To      *time.Time `json:"to,omitempty"`
	Active  bool       `json:"active" doc:"whether it counts now"`
}

// Coverage says which VMs a subscription covers: exactly one member is set.
type Coverage struct {
	All bool   `json:"all,omitempty" doc:"all VMs of the tenant, later ones too"`
	VDC string `json:"vdc,omitempty" doc:"id of a VDC"`
	VM  string `json:"vm,omitempty" doc:"id of a VM"`
}

// Duty is one duty of a catalogue.
type Duty struct {
	ID       string   `json:"id"`
	Control  string   `json:"control"`
	Party    string   `json:"party" enum:"customer,provider"`
	Scope    string   `json:"scope" enum:"vm,vdc,tenant,provider"`
	Level    string   `json:"level" enum:"must,should"`
	Mode     []string `json:"mode" doc:"enforced, assessed, attested"`
	Title    string   `json:"title"`
	Services []string `json:"services" doc:"managed services that move it to the provider"`
	Evidence string   `json:"evidence" doc:"what makes it live"`
	Reads    []string `json:"reads" doc:"fact kinds that it is judged by"`
	Missing  []string `json:"missing" doc:"of these, the kinds that no service provides yet"`
	Remedy   string   `json:"remedy,omitempty"`
}

// Catalogue is a version of the contract.
type Catalogue struct {
	Name    string    `json:"name"`
	Version string    `json:"version"`
	Title   string    `json:"title"`
	Duties  int       `json:"duties"`
	Digest  string    `json:"digest"`
	From    time.Time `json:"from" doc:"in force from then"`
	InForce bool      `json:"in_force"`
}

// Subject names what a verdict is about.
type Subject struct {
	Scope  string `json:"scope" enum:"vm,vdc,tenant,provider"`
	Tenant string `json:"tenant,omitempty" doc:"id of the tenant"`
	ID     string `json:"id"`
	Name   string `json:"name" doc:"for people"`
}

// Verdict is the state of one duty of one subject.
type Verdict struct {
	Duty        string      `json:"duty"`
	Control     string      `json:"control"`
	Title       string      `json:"title"`
	Level       string      `json:"level"`
	Subject     Subject     `json:"subject"`
	Party       string      `json:"party" enum:"customer,provider"`
	Verdict     string      `json:"verdict" enum:"met,not-met,unknown,not-applicable,waived"`
	Reason      string      `json:"reason"`
	Since       time.Time   `json:"since"`
	EvaluatedAt time.Time   `json:"evaluated_at"`
	DueAt       *time.Time  `json:"due_at,omitempty" doc:"when it is judged again at the latest"`
	Evidence    []Reference `json:"evidence"`
}

// Reference points to a piece of evidence.
type Reference struct {
	Type   string    `json:"type" enum:"fact,attestation,waiver"`
	Ref    string    `json:"ref" doc:"fact kind, or id"`
	Digest string    `json:"digest,omitempty"`
	At     time.Time `json:"at"`
	Source string    `json:"source,omitempty"`
}

// Explanation says everything about one duty of one subject.
type Explanation struct {
	Verdict     Verdict       `json:"verdict"`
	Duty        Duty          `json:"duty"`
	Assignment  Assignment    `json:"assignment"`
	Applies     string        `json:"applies,omitempty" doc:"CEL expression"`
	Met         string        `json:"met,omitempty" doc:"CEL expression"`
	StaleAfter  string        `json:"stale_after,omitempty"`
	Facts       []Fact        `json:"facts"`
	WouldChange []string      `json:"would_change" doc:"what would change the verdict, in words"`
	Statements  []Statement   `json:"statements" doc:"attestations and waivers"`
	History     []PastVerdict `json:"history"`
}

// Assignment says who is responsible, since when and why.
type Assignment struct {
	Party        string     `json:"party" enum:"customer,provider"`
	Since        *time.Time `json:"since,omitempty" doc:"missing if it always was"`
	Subscription string     `json:"subscription,omitempty"`
	Service      string     `json:"service,omitempty"`
}

// Fact is the latest fact of a kind about a subject.
type Fact struct {
	Subject    Subject         `json:"subject"`
	Kind       string          `json:"kind"`
	Data       json.RawMessage `json:"data"`
	Digest     string          `json:"digest"`
	ObservedAt time.Time       `json:"observed_at"`
	ChangedAt  time.Time       `json:"changed_at"`
	Source     string          `json:"source"`
}

// PastVerdict is a verdict that was replaced.
type PastVerdict struct {
	Verdict string    `json:"verdict"`
	Party   string    `json:"party"`
	Reason  string    `json:"reason"`
	From    time.Time `json:"from"`
	Until   time.Time `json:"until"`
}

// Statement is an attestation or a waiver.
type Statement struct {
	ID          string       `json:"id"`
	Type        string       `json:"type" enum:"attestation,waiver"`
	Duty        string       `json:"duty" doc:"a duty, or SERVICE/RULE for a rule of a service"`
	Subject     Subject      `json:"subject"`
	By          string       `json:"by"`
	Text        string       `json:"text" doc:"the statement, or the reason of the waiver"`
	Attachments []Attachment `json:"attachments,omitempty"`
	CreatedAt   time.Time    `json:"created_at"`
	Effective   time.Time    `json:"effective"`
	Expires     time.Time    `json:"expires"`
	Withdrawn   *time.Time   `json:"withdrawn,omitempty"`
	InForce     bool         `json:"in_force"`
}

// Attachment names a document by its SHA-256; the document itself stays with
// its owner.
type Attachment struct {
	Name   string `json:"name"`
	Digest string `json:"digest" doc:"sha256:<64 hex digits>"`
	Bytes  int64  `json:"bytes"`
}

// MatrixRow says who is responsible for a duty, for a tenant at a moment.
type MatrixRow struct {
	Duty     string   `json:"duty"`
	Control  string   `json:"control"`
	Title    string   `json:"title"`
	Scope    string   `json:"scope"`
	Level    string   `json:"level"`
	Services []string `json:"services"`
	// Customer and Provider list for whom each party is responsible: VMs by
	// name where a subscription splits them, else the tenant as a whole.
	Customer []Share `json:"customer"`
	Provider []Share `json:"provider"`
	Verdicts Counts  `json:"verdicts" doc:"of the tenant's subjects, now"`
	// ProviderVerdicts are those of Verdicts for which the provider is responsible.
	ProviderVerdicts Counts `json:"provider_verdicts"`
	Worst            string `json:"worst" doc:"the verdict that calls for most attention; empty if none was given yet"`
}

// Share is a part of the estate that one party is responsible for.
type Share struct {
	Subject Subject    `json:"subject"`
	Since   *time.Time `json:"since,omitempty"`
	Service string     `json:"service,omitempty" doc:"the subscription's service that moved the duty"`
}

// Matrix is who is responsible for what.
type Matrix struct {
	Tenant    Tenant      `json:"tenant"`
	At        time.Time   `json:"at"`
	Catalogue string      `json:"catalogue" doc:"name and version in force then"`
	Rows      []MatrixRow `json:"rows"`
}

// EnrolmentToken lets one machine enrol, once.
type EnrolmentToken struct {
	ID      string     `json:"id"`
	Tenant  string     `json:"tenant"`
	VDC     string     `json:"vdc"`
	VMName  string     `json:"vm_name,omitempty"`
	Expires time.Time  `json:"expires"`
	UsedAt  *time.Time `json:"used_at,omitempty"`
	Agent   string     `json:"agent,omitempty"`
	// Token is shown once, when it is made.
	Token string `json:"token,omitempty"`
	// Server is the address that the agent enrols at.
	Server string `json:"server,omitempty"`
}

// Agent is an enrolled agent.
type Agent struct {
	ID         string     `json:"id"`
	Tenant     string     `json:"tenant"`
	VM         string     `json:"vm"`
	EnrolledAt time.Time  `json:"enrolled_at"`
	RevokedAt  *time.Time `json:"revoked_at,omitempty"`
	SeenAt     *time.Time `json:"seen_at,omitempty"`
	SkewMillis int64      `json:"skew_millis" doc:"server clock minus agent clock"`
	Software   string     `json:"software"`
	Lost       uint64     `json:"lost" doc:"records that never came although later ones did"`
	Rejected   uint64     `json:"rejected" doc:"records that came and were refused"`
	// Rejection is the last reason, with its time.
	Rejection *Rejection `json:"rejection,omitempty"`
}

// Rejection says why a record of an agent was refused, or that records never
// came.
type Rejection struct {
	At     time.Time `json:"at"`
	Kind   string    `json:"kind,omitempty" doc:"of the record; empty if it never came"`
	Reason string    `json:"reason"`
}

// Principal is somebody, or something, that may use the API.
type Principal struct {
	ID        string     `json:"id"`
	Name      string     `json:"name"`
	Role      string     `json:"role" enum:"provider-operator,provider-support,provider-security,provider-compliance,provider-administrator,provider-auditor,customer-owner,customer-administrator,customer-approver,customer-viewer,customer-auditor"`
	Tenant    string     `json:"tenant,omitempty"`
	Kind      string     `json:"kind,omitempty" doc:"person, service, or setup: the first start's credential"`
	MFA       bool       `json:"mfa,omitempty" doc:"whether a second factor was shown, by the person or by whoever made the token"`
	CreatedAt time.Time  `json:"created_at"`
	Expires   *time.Time `json:"expires,omitempty"`
	RevokedAt *time.Time `json:"revoked_at,omitempty"`
	// Token is shown once, when it is made.
	Token string `json:"token,omitempty"`
	// Scope and May are told of the caller itself only.
	Scope []string `json:"scope,omitempty" doc:"actions that the token is narrowed to; all of its role if missing"`
	May   []string `json:"may,omitempty" doc:"actions that you may do, on your own side or in the tenant asked about"`
}

// LedgerEntry is one line of the ledger.
type LedgerEntry struct {
	Index   int64             `json:"index"`
	Time    time.Time         `json:"time"`
	Tenant  string            `json:"tenant,omitempty"`
	Actor   string            `json:"actor"`
	Action  string            `json:"action"`
	Subject string            `json:"subject"`
	Digests map[string]string `json:"digests,omitempty"`
	// Words are no part of the entry that is in the tree.
	Words string `json:"words,omitempty" doc:"what the action means; no part of the entry in the tree"`
}

// LedgerState is how the ledger stands.
type LedgerState struct {
	Entries    int64     `json:"entries"`
	Checkpoint string    `json:"checkpoint" doc:"latest signed checkpoint, C2SP tlog-checkpoint"`
	Keys       []string  `json:"keys" doc:"verifier keys, C2SP signed-note"`
	VerifiedAt time.Time `json:"verified_at,omitzero"`
	Fault      string    `json:"fault,omitempty"`
	Witnesses  []Witness `json:"witnesses" doc:"who is asked to cosign"`
}

// Witness is how it stands with a witness of the ledger.
type Witness struct {
	Name         string    `json:"name"`
	Size         int64     `json:"size" doc:"entries of the last tree that it cosigned"`
	At           time.Time `json:"at,omitzero" doc:"when it cosigned last"`
	Fault        string    `json:"fault,omitempty" doc:"why it has not cosigned the last checkpoint"`
	Contradicted bool      `json:"contradicted,omitempty" doc:"it has seen another ledger of this name"`
}

// Waiting is a store that takes no records now; agents and bus keep theirs.
type Waiting struct {
	Store string    `json:"store" doc:"which store records wait for"`
	Since time.Time `json:"since"`
}

// FactKind describes a kind of fact.
type FactKind struct {
	Name    string          `json:"name"`
	Scope   string          `json:"scope"`
	Service string          `json:"service,omitempty" doc:"who provides it; empty if nobody does yet"`
	Doc     string          `json:"doc"`
	Schema  json.RawMessage `json:"schema" doc:"JSON Schema 2020-12"`
}

// Policy is the policy of a service in force for a subject.
type Policy struct {
	Service   string          `json:"service"`
	Subject   Subject         `json:"subject"`
	Version   int64           `json:"version"`
	Document  json.RawMessage `json:"document"`
	Digest    string          `json:"digest" doc:"of the document as RFC 8785 canonical JSON"`
	CreatedAt time.Time       `json:"created_at"`
	By        string          `json:"by"`
	Until     *time.Time      `json:"until,omitempty" doc:"counts until then; missing is until another replaces it"`
	Decision  string          `json:"decision,omitempty" doc:"id of the signed decision behind it; agents obey no policy without one"`
}

// Service describes a managed service.
type Service struct {
	Name     string   `json:"name"`
	Title    string   `json:"title"`
	Doc      string   `json:"doc"`
	Standard bool     `json:"standard" doc:"runs everywhere without a subscription"`
	Kinds    []string `json:"kinds"`
	Duties   []string `json:"duties" doc:"duties that a subscription moves to the provider"`
}

// Overview is the state of a tenant, or of all, by control and party.
type Overview struct {
	Controls []ControlState `json:"controls"`
	Counts   Counts         `json:"counts"`
	Waiting  []Waiting      `json:"waiting" doc:"stores that take no records now: verdicts lag until they do"`
}

// ControlState counts the verdicts of one control for one party.
type ControlState struct {
	Control string `json:"control"`
	Title   string `json:"title"`
	Party   string `json:"party"`
	Duties  int    `json:"duties"`
	Counts  Counts `json:"counts"`
}

// List is a page of a list.
type List[T any] struct {
	Items []T `json:"items"`
	// Next, if set, is the cursor of the next page.
	Next string `json:"next,omitempty"`
}

// Problem is an error, RFC 9457.
type Problem struct {
	Type   string         `json:"type,omitempty"`
	Title  string         `json:"title"`
	Status int            `json:"status"`
	Detail string         `json:"detail,omitempty" doc:"what is wrong and how to mend it"`
	Errors []ProblemError `json:"errors,omitempty"`
}

// ProblemError is one fault in a request.
type ProblemError struct {
	Message  string `json:"message,omitempty"`
	Location string `json:"location,omitempty"`
}

// Error implements error.
func (p *Problem) Error() string {
	s := p.Detail
	if s == "" {
		s = p.Title
	}
	for _, e := range p.Errors {
		if e.Location != "" {
			s += "\n  " + e.Location + ": " + e.Message
		} else {
			s += "\n  " + e.Message
		}
	}
	return s
}
