package access

// Action is what somebody wants to do. There is no action for logging in to a
// guest, so that no policy and no grant can permit it to the provider's people.
type Action string

const (
	// Look reads what concerns a tenant, or the provider itself.
	Look Action = "look"
	// ManageTenants adds and renames tenants and gives them VDCs.
	ManageTenants Action = "manage-tenants"
	// ManageEstate adds and changes a tenant's VMs, enrols and revokes agents,
	// and asks agents to look again.
	ManageEstate Action = "manage-estate"
	// RevokeAgents ends the identity of agents.
	RevokeAgents Action = "revoke-agents"
	// ReadContacts shows contacts in clear.
	ReadContacts Action = "read-contacts"
	// ManageContacts adds, changes and removes contacts.
	ManageContacts Action = "manage-contacts"
	// Subscribe buys and ends managed services.
	Subscribe Action = "subscribe"
	// Attest states that a duty is met.
	Attest Action = "attest"
	// Waive accepts the risk of a duty that is not met.
	Waive Action = "waive"
	// SetPolicy writes policies of managed services.
	SetPolicy Action = "set-policy"
	// ManageCatalogue changes the contract's catalogue.
	ManageCatalogue Action = "manage-catalogue"
	// VerifyLedger has the ledger verified.
	VerifyLedger Action = "verify-ledger"
	// RotateLedgerKey signs the ledger with a new key from then on.
	RotateLedgerKey Action = "rotate-ledger-key"
	// ManagePeople invites and removes people and services.
	ManagePeople Action = "manage-people"
	// InviteOwner invites the first owner of a tenant that has none.
	InviteOwner Action = "invite-owner"
	// ManageKeys changes the keys that a tenant's decisions are signed with.
	ManageKeys Action = "manage-keys"
	// SignDecision gives effect to a decision of the tenant by a signature.
	SignDecision Action = "sign-decision"

	// RequestAccess asks for access to a customer's environment.
	RequestAccess Action = "request-access"
	// DecideAccess approves, shortens and refuses such requests.
	DecideAccess Action = "decide-access"
	// RevokeAccess ends access before its time.
	RevokeAccess Action = "revoke-access"
	// BreakGlass takes access in an emergency, with notice afterwards.
	BreakGlass Action = "break-glass"
	// UseAccess opens a session under a grant.
	UseAccess Action = "use-access"
	// WatchRecording replays a recorded session.
	WatchRecording Action = "watch-recording"
	// ManageTargets keeps the register of what sessions can reach.
	ManageTargets Action = "manage-targets"

	// Review signs off reviews.
	Review Action = "review"
	// ScheduleReviews changes how often reviews are due.
	ScheduleReviews Action = "schedule-reviews"
	// CloseIncidents closes incidents of a tenant.
	CloseIncidents Action = "close-incidents"
	// HandleIncidents works on the provider's part of incidents.
	HandleIncidents Action = "handle-incidents"
)

// Actions lists every action.
var Actions = []Action{
	Look, ManageTenants, ManageEstate, RevokeAgents, ReadContacts, ManageContacts, Subscribe, Attest, Waive, SetPolicy,
	ManageCatalogue, VerifyLedger, RotateLedgerKey, ManagePeople, InviteOwner, ManageKeys, SignDecision,
	RequestAccess, DecideAccess, RevokeAccess, BreakGlass, UseAccess, WatchRecording, ManageTargets, Review, HandleIncidents,
	ScheduleReviews, CloseIncidents,
}
