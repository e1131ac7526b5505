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
	"sign-in.refuse":   {Words: "turned away sign-ins at an account, of which too many had failed"},
	"session.start":    {Words: "signed in to the console"},
	"session.end-all":  {Words: "signed out everywhere"},

	"identity-provider.create": {Words: "registered an identity provider that people sign in with", Needs: access.ManagePeople},
	"identity-provider.remove": {Words: "removed an identity provider", Needs: access.ManagePeople},
	"invitation.create":        {Words: "invited somebody", Needs: access.ManagePeople},
	"invitation.revoke":        {Words: "took an invitation back", Needs: access.ManagePeople},
	"invitation.accept":        {Words: "accepted an invitation"},
	"person.remove":            {Words: "removed a person", Needs: access.ManagePeople},
	"person.role":              {Words: "changed a person's role", Needs: access.ManagePeople},
	"token.create":             {Words: "made an API token"},
	"token.revoke":             {Words: "ended an API token"},
	"authenticator.add":        {Words: "added something to sign in with"},
	"authenticator.remove":     {Words: "removed something to sign in with"},
	"recovery-codes.make":      {Words: "made new recovery codes"},
	"recovery-code.use":        {Words: "signed in with a recovery code"},
	"passkey.counter-back":     {Words: "was refused: the counter of a passkey went back, as that of a copy would"},
	"device.confirm":           {Words: "let a command line sign in"},
	"device.refuse":            {Words: "refused to let a command line sign in"},

	// Ledger.
	"ledger.key.begin":  {Words: "began to sign the ledger"},
	"ledger.key.rotate": {Words: "began to sign the ledger with a new key", Needs: access.RotateLedgerKey},

	// Access to environments.
	"grant.request":        {Words: "asked for access", Needs: access.RequestAccess, Access: true},
	"grant.ask":            {Words: "asked for more information before deciding about access", Needs: access.DecideAccess, Access: true},
	"grant.answer":         {Words: "answered what was asked about access", Needs: access.RequestAccess, Access: true},
	"grant.propose":        {Words: "put the terms of access up for signature", Needs: access.DecideAccess, Access: true},
	"grant.approve":        {Words: "approved access", Needs: access.DecideAccess, Access: true},
	"grant.refuse":         {Words: "refused access", Needs: access.DecideAccess, Access: true},
	"grant.revoke":         {Words: "ended access before its time", Needs: access.RevokeAccess, Access: true},
	"grant.withdraw":       {Words: "withdrew a request for access", Needs: access.RequestAccess, Access: true},
	"grant.close":          {Words: "gave access back", Needs: access.RequestAccess, Access: true},
	"grant.lapse":          {Words: "let a request for access lapse, which nobody answered in time", Access: true},
	"grant.begin":          {Words: "let access begin", Access: true},
	"grant.expire":         {Words: "ended access as its time was over", Access: true},
	"grant.break-glass":    {Words: "took access in an emergency, without approval", Needs: access.BreakGlass, Access: true},
	"grant.notice":         {Words: "gave notice of what was done in an emergency", Needs: access.BreakGlass, Access: true},
	"grant.notice-overdue": {Words: "found the notice of emergency access overdue", Access: true},
	"grant.acknowledge":    {Words: "acknowledged the notice of emergency access", Needs: access.DecideAccess, Access: true},
	"grant.dispute":        {Words: "disputed the notice of emergency access", Needs: access.DecideAccess, Access: true},
	"grant.certificate":    {Words: "had a key certified for sessions", Needs: access.UseAccess, Access: true},
	"session.refuse":       {Words: "asked in a session for what the access does not include", Needs: access.UseAccess, Access: true},
	"target.add":           {Words: "registered a host or web console that sessions can reach", Needs: access.ManageTargets},
	"target.remove":        {Words: "took a host or web console out of reach", Needs: access.ManageTargets},
	"session.view":         {Words: "watched the recording of a session", Needs: access.WatchRecording, Access: true},
	"session.open":         {Words: "opened a session", Needs: access.UseAccess, Access: true},
	"session.record":       {Words: "recorded a part of a session"},
	"session.end":          {Words: "ended a session", Access: true},
	"session.cut":          {Words: "found a session cut off: up to a second of its recording is lost", Access: true},

	// Decisions.
	"decision.propose":  {Words: "put a decision up for signature"},
	"decision.sign":     {Words: "signed a decision", Needs: access.SignDecision},
	"decision.withdraw": {Words: "withdrew a decision before it was signed"},
	"decision.expire":   {Words: "found a decision expired, which nobody signed in time"},
	"key-set.first":     {Words: "added the first key that decisions are signed with", Needs: access.ManageKeys},
	"key-set.change":    {Words: "changed the keys that decisions are signed with", Needs: access.ManageKeys},

	// Reviews and incidents.
	"review.open":              {Words: "opened a review"},
	"review.sign":              {Words: "signed a review off", Needs: access.Review},
	"review.schedule":          {Words: "changed how often a review is due", Needs: access.ScheduleReviews},
	"incident.open":            {Words: "opened an incident: an identity of the provider logged in to a machine", Access: true},
	"incident.close":           {Words: "closed an incident", Needs: access.CloseIncidents, Access: true},
	"provider-identity.add":    {Words: "registered an identity of the provider's people", Needs: access.ManagePeople},
	"provider-identity.remove": {Words: "removed an identity of the provider's people from the register", Needs: access.ManagePeople},
}
