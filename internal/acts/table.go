package acts

import "github.com/demarc/demarc/internal/access"

// table has words for every action that the product appends; a test reads the
// code for actions without. It is not changed.
var table = map[string]Act{
	// Estate.
	"tenant.create": {Words: "added the tenant", Needs: access.ManageTenants},
	"tenant.change": {Words: "renamed the tenant", Needs: access.ManageTenants},
	"vdc.create":    {Words: "added a VDC", Needs: access.ManageTenants},
	"vm.register":   {Words: "registered a VM", Needs: access.ManageEstate},
	"vm.declare":    {Words: "changed what is declared about a VM", Needs: access.ManageEstate},

	// Agents.
	"enrolment-token.create": {Words: "made a token that enrols one machine", Needs: access.ManageEstate},
	"agent.enrol":            {Words: "enrolled"},
	"agent.revoke":           {Words: "ended the identity of an agent", Needs: access.RevokeAgents},

	// Contacts.
	"contact.create": {Words: "added a contact", Needs: access.ManageContacts},
	"contact.change": {Words: "changed a contact", Needs: access.ManageContacts},
	"contact.verify": {Words: "noted that a contact was found right", Needs: access.ManageContacts},
	"contact.delete": {Words: "removed a contact", Needs: access.ManageContacts},
	"contact.read":   {Words: "read contacts in clear", Needs: access.ReadContacts},

	// Contract.
	"subscription.create":  {Words: "bought a managed service", Needs: access.Subscribe},
	"subscription.end":     {Words: "ended a managed service", Needs: access.Subscribe},
	"attestation.create":   {Words: "stated that a duty is met", Needs: access.Attest},
	"attestation.withdraw": {Words: "withdrew the statement that a duty is met", Needs: access.Attest},
	"waiver.create":        {Words: "accepted the risk of a duty that is not met", Needs: access.Waive},
	"waiver.withdraw":      {Words: "withdrew the acceptance of a risk", Needs: access.Waive},
	"policy.set":           {Words: "set the policy of a service", Needs: access.SetPolicy},
	"catalogue.load":       {Words: "put a version of the contract's catalogue in force", Needs: access.ManageCatalogue},
	"posture.change":       {Words: "judged duties otherwise than before"},

	// People.
	"principal.create": {Words: "added somebody who may use the API", Needs: access.ManagePeople},
	"principal.revoke": {Words: "ended somebody's access to the API", Needs: access.ManagePeople},
	"session.start":    {Words: "signed in to the console"},

	// Ledger.
	"ledger.key":        {Words: "signed the ledger with its first key", Needs: access.RotateLedgerKey},
	"ledger.key.rotate": {Words: "began to sign the ledger with a new key", Needs: access.RotateLedgerKey},

	// Reviews and incidents.
	"review.open":              {Words: "opened a review"},
	"review.sign":              {Words: "signed a review off", Needs: access.Review},
	"review.schedule":          {Words: "changed how often a review is due", Needs: access.ScheduleReviews},
	"incident.open":            {Words: "opened an incident: an identity of the provider logged in to a machine", Access: true},
	"incident.close":           {Words: "closed an incident", Needs: access.CloseIncidents, Access: true},
	"provider-identity.add":    {Words: "registered an identity of the provider's people", Needs: access.ManagePeople},
	"provider-identity.remove": {Words: "removed an identity of the provider's people from the register", Needs: access.ManagePeople},
}
