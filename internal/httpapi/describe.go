package httpapi

import (
	"cmp"
	"strings"

	"github.com/danielgtaylor/huma/v2"
)

// describe gives every schema and parameter of the description words of its
// own, where its type has none. One word means one thing in the whole API, so
// that most members are described once by their name.
func describe(d *huma.OpenAPI) {
	for name, s := range d.Components.Schemas.Map() {
		if of, ok := strings.CutPrefix(name, "List"); ok {
			s.Description = "A page of a list: " + cmp.Or(schemaDocs[of], grantDocs[of], peopleDocs[of])
		} else if s.Description == "" {
			s.Description = cmp.Or(schemaDocs[name], grantDocs[name], peopleDocs[name])
		}
		for member, ps := range s.Properties {
			if ps.Ref == "" && ps.Description == "" {
				ps.Description = cmp.Or(memberDocs[member], grantMemberDocs[member])
			}
		}
	}
	for _, item := range d.Paths {
		for _, op := range []*huma.Operation{item.Get, item.Post, item.Put, item.Patch, item.Delete} {
			if op == nil {
				continue
			}
			for _, p := range op.Parameters {
				if p.Description == "" {
					p.Description = parameterDocs[p.Name]
				}
				if p.Description == "" {
					p.Description = cmp.Or(memberDocs[p.Name], grantMemberDocs[p.Name])
				}
			}
		}
	}
}

var schemaDocs = map[string]string{
	"AuditApproval":       "What proves that a grant was approved, without the server.",
	"AuditSource":         "Something that was compared, or could not be.",
	"AuditedLogin":        "A login on one of the provider's hosts.",
	"AuditedSession":      "A session with what explains it.",
	"SessionAudit":        "The comparison of sessions with what lets them be.",
	"Activity":            "An act of the provider in a customer's environment, in words.",
	"Agent":               "An enrolled agent, with what became of its records.",
	"Assignment":          "Who is responsible, since when and why.",
	"Attachment":          "A document that a statement rests on, by name and SHA-256; the document stays with its owner.",
	"Catalogue":           "A version of the contract.",
	"CatalogueSource":     "A catalogue file.",
	"Certificate":         "Lets the holder of a grant in at the gateway.",
	"ChangeKeys":          "A change of the keys that a customer's decisions are signed with.",
	"ChangeVM":            "What is declared about a VM; the whole declaration is replaced.",
	"CloseIncident":       "What was found out about an incident.",
	"ConsoleTicket":       "Opens a web console, once and soon.",
	"Contact":             "A person to be told. These members are all that is kept, and they are encrypted.",
	"ControlState":        "The verdicts of one control for one party.",
	"Counts":              "Duties by verdict.",
	"Coverage":            "Which VMs a subscription covers: exactly one member is set.",
	"Decision":            "A matter that becomes effective when the customer signs it.",
	"DecisionSignature":   "A signature that was given to a decision.",
	"Declaration":         "What the customer declares about a VM; duties compare with it what is seen.",
	"Duty":                "One duty of the contract.",
	"EndSubscription":     "When a subscription ends.",
	"EnrolRequest":        "What a machine sends to enrol; the token goes in the Authorization header.",
	"EnrolmentToken":      "Lets one machine enrol, once.",
	"ErrorDetail":         "One fault in a request.",
	"ErrorModel":          "Problem details, RFC 9457.",
	"Explanation":         "Everything about one duty of one subject.",
	"Fact":                "The latest fact of a kind about a subject.",
	"FactKind":            "A kind of fact.",
	"GatewayKeys":         "What targets and users need to know of the gateway.",
	"Identity":            "What an agent is given at enrolment and renewal.",
	"Incident":            "Something that must not have happened, until the customer closes it.",
	"Key":                 "A key that the customer holds the private half of.",
	"KeySet":              "The keys that count for a customer's decisions.",
	"KeysChanged":         "The first keys, or a change of keys to be signed.",
	"LedgerEntry":         "One line of the ledger.",
	"LedgerState":         "How the ledger stands.",
	"Matrix":              "Who is responsible for what.",
	"MatrixRow":           "Who is responsible for one duty.",
	"NewCertificate":      "A key to be certified under a grant.",
	"NewConsole":          "A web console to be opened under a grant.",
	"NewContact":          "A contact to be added, or to take another's place.",
	"NewEnrolmentToken":   "A token to be made that enrols one machine.",
	"NewKey":              "A key to be added.",
	"NewPolicy":           "A service's policy for a tenant or one of its VMs.",
	"NewPrincipal":        "A principal to be added, with a token of its own.",
	"NewProviderIdentity": "An identity to be registered.",
	"NewSignature":        "A signature of a decision.",
	"NewStatement":        "An attestation or waiver to be made.",
	"NewSubscription":     "A managed service to be bought.",
	"NewTarget":           "A target to be registered.",
	"NewTenant":           "A tenant to be added, or its new name.",
	"NewVDC":              "A VDC to be added.",
	"NewVM":               "A VM that runs already, to be registered.",
	"Overview":            "Verdicts by control and party.",
	"PastVerdict":         "A verdict that was replaced.",
	"Policies":            "What an agent checks and obeys: signed policies, and how the customer's keys came to be.",
	"PoliciesRequest":     "What an agent signs to be given its policies.",
	"Policy":              "The policy of a service in force for a subject.",
	"PolicyVersion":       "The version that setting a policy gave.",
	"Principal":           "Somebody, or something, that may use the API.",
	"Privileges":          "Rights that nobody uses, and roles wider than what is used of them.",
	"ProviderIdentity":    "A name, key or network of the provider's people that must not be seen in a guest.",
	"Reference":           "A piece of evidence.",
	"Rejection":           "Why a record of an agent was refused, or that records never came.",
	"RenewRequest":        "What an agent signs to be given a new JWT.",
	"Review":              "One regular review, open or signed off.",
	"ReviewInterval":      "How often a review is due.",
	"ReviewItem":          "One thing to look at, or that was looked at.",
	"ReviewPlan":          "How often a review is due, and when next.",
	"ReviewSeen":          "An item as the reviewer saw it.",
	"ReviewSignOff":       "What a reviewer says.",
	"Service":             "A managed service.",
	"Session":             "The recording of a session in a tenant's environment.",
	"SessionVerification": "Whether a recording is what was sealed.",
	"Share":               "A part of the estate that one party is responsible for.",
	"Statement":           "An attestation or a waiver.",
	"Subject":             "What a verdict is about.",
	"Subscription":        "A managed service bought for some VMs for some time.",
	"Target":              "Something that sessions of the provider's people can reach.",
	"Tenant":              "A customer of the provider.",
	"UnusedPrivilege":     "Somebody, or an account on a VM, that has rights and does not use them.",
	"VDC":                 "A virtual data centre.",
	"VM":                  "A virtual machine.",
	"Verdict":             "The state of one duty of one subject.",
	"Waiting":             "A store that takes no records now; agents and bus keep theirs.",
	"WideRole":            "A role of which a narrower one would do.",
	"Witness":             "How it stands with a witness of the ledger.",
}

// grantMemberDocs are of members and parameters that only grants have.
var grantMemberDocs = map[string]string{
	"grant":        "id of the grant",
	"holder_name":  "name of the holder",
	"purpose":      "what is to be done and why",
	"tenant_name":  "name of the tenant",
	"minutes":      "for how long",
	"requested_at": "when it was asked for",
	"ended_at":     "when it was over",
	"notice_due":   "by when the customer must be told",
	"notice_at":    "when the customer was told",
}

// grantDocs are of environment access.
var grantDocs = map[string]string{
	"Ability":       "One thing that a grant lets its holder do.",
	"ApproveGrant":  "An approval of a request, as it is or less of it.",
	"BreakGlass":    "Access in an emergency, without approval.",
	"ExtendGrant":   "More time.",
	"Grant":         "Access of somebody of the provider to a tenant's environment, from the request on.",
	"GrantEvent":    "A line of a grant's history.",
	"GrantNotice":   "What was done in an emergency.",
	"GrantProposal": "An approval that waits for its signature.",
	"NewGrant":      "A request for access to a tenant's environment.",
	"Words":         "What is said: a question, an answer, a reason, or an account of what was done.",
}

var memberDocs = map[string]string{
	"count":          "how many there were",
	"looked_at":      "what was looked at, item by item",
	"outcome":        "what the look brought to light",
	"unused":         "rights that nobody uses",
	"why":            "why it counts as unused",
	"algorithm":      "ed25519 or webauthn",
	"keys":           "the customer's keys",
	"policies":       "signed policies",
	"action":         "what was done, as in contact.read",
	"actor":          "who did it: ROLE/ID",
	"agent":          "id of the agent",
	"at":             "when",
	"attachments":    "documents that the statement rests on",
	"bus_urls":       "addresses of the bus",
	"by":             "who made it: ROLE/ID",
	"bytes":          "size of the document",
	"ca":             "PEM certificates that vouch for the server and its bus",
	"changed_at":     "when the data last became different",
	"control":        "the control of the standard, as in CLD.9.5.2",
	"controls":       "one line for each control and party",
	"customer":       "what the customer is responsible for",
	"data":           "in the form of its kind",
	"digest":         "sha256:<64 hex digits>",
	"digests":        "digests of what the entry commits to",
	"document":       "in the form of the service",
	"duties":         "how many, or which, duties",
	"duty":           "id of the duty, as in CLD.9.5.2/C-4.4b",
	"effective":      "counts from then",
	"enrolled_at":    "when it enrolled",
	"entries":        "how many there are",
	"evaluated_at":   "when it was last judged",
	"evidence":       "what it stands on",
	"expires":        "counts until then",
	"expires_at":     "counts until then",
	"facts":          "what is known, by kind",
	"fault":          "what was wrong at the last verification; missing if nothing was",
	"history":        "former verdicts, the latest first",
	"hostname":       "proposes the VM's name where the token does not set one",
	"in_force":       "whether it counts now",
	"index":          "place in the ledger, from 0",
	"jwt":            "admits the agent to the bus together with its key",
	"kind":           "kind of fact, as in host.sshd",
	"kinds":          "kinds of fact that it provides",
	"level":          "how binding it is",
	"machine_id":     "digest of the machine's id",
	"mail":           "one plain address",
	"met":            "those that are met",
	"minutes":        "until it expires; 60 if missing",
	"nonce":          "at most 100 characters",
	"not_applicable": "those that do not apply",
	"not_met":        "those that are not met",
	"observed_at":    "when it was last seen to be so, by the server's clock",
	"party":          "who is responsible",
	"provider":       "what the provider is responsible for",
	"public_key":     "NKey of kind user; the agent keeps the seed",
	"remedy":         "what to do where it is not met",
	"revoked_at":     "when it was ended",
	"role":           "what it may do, or what it is told about",
	"rows":           "one for each duty",
	"scope":          "what it is about",
	"seen_at":        "when it was last heard of",
	"server":         "address that the agent enrols at",
	"service":        "name of the managed service",
	"services":       "names of managed services",
	"signature":      "base64url of the NKey's signature",
	"software":       "name and version of the program",
	"source":         "who observed it",
	"stale_after":    "for how long a fact counts",
	"state":          "where it is in its life",
	"subject":        "what it is about: TYPE/ID",
	"subscription":   "id of the subscription",
	"telephone":      "a number such as +43 1 234567",
	"tenant":         "id of the tenant; missing for the provider's own",
	"time":           "when",
	"token":          "shown once, in the answer that makes it",
	"type":           "which of the kinds it is",
	"unknown":        "those that cannot be judged yet",
	"until":          "until when",
	"used_at":        "when a machine enrolled with it",
	"vdc":            "id of the VDC; in requests its name will do",
	"verdict":        "how it stands",
	"verified":       "when somebody last found it right",
	"verified_at":    "when the whole was last verified",
	"version":        "raised with every change",
	"vm":             "id of the VM; in requests its name will do",
	"vm_name":        "name of the VM",
	"waived":         "those whose risk was accepted",
	"withdrawn":      "when it was ended before its time",
}

var parameterDocs = map[string]string{
	"decision":      "id of the decision",
	"Authorization": "Bearer and the enrolment token",
	"contact":       "id of the contact",
	"cursor":        "next of the former page",
	"limit":         "most items to return",
	"name":          "name of the catalogue",
	"principal":     "id of the principal",
	"since":         "entries from then on",
	"statement":     "id of the attestation or waiver",
	"target":        "id or name of the target",
	"tenant":        "id or name of the tenant",
	"until":         "entries before then",
	"version":       "version of the catalogue, as in 1.0.0",
}
