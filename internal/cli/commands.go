package cli

const description = `Who is responsible for which security duty, is it met, since when, and on what evidence.

Start with "demarc status" and "demarc posture". The server is taken from --server, DEMARC_SERVER or the profile, the token from DEMARC_TOKEN or the profile, never from the command line. Exit codes: 0 done, 1 failed, 2 wrong command line, 3 does not verify, 4 duties found by posture --fail-on.`

// globals are the flags of every command.
type globals struct {
	Server  string `group:"every" help:"Address of the server, as https://host:port (env DEMARC_SERVER)." placeholder:"URL"`
	Output  string `group:"every" short:"o" enum:"table,json,yaml,csv" default:"table" placeholder:"FORM" help:"Form of what is printed: table, json, yaml or csv; table if left out."`
	Profile string `group:"every" help:"Client profile (env DEMARC_PROFILE; default demarc/client.json in the user's configuration)." placeholder:"FILE" type:"path"`
	NoColor bool   `group:"every" help:"No colours (env NO_COLOR)."`
}

// commands is the whole command line. Its tags are also the source of the
// command table in docs/cli.md.
type commands struct {
	globals

	Posture postureCmd `cmd:"" group:"contract" help:"Show the verdict of each duty, with reasons."`
	Explain explainCmd `cmd:"" group:"contract" help:"Say everything about one duty: who, whether, since when, on what evidence."`
	Matrix  matrixCmd  `cmd:"" group:"contract" help:"Show who is responsible for what, now or at a past moment."`
	Attest  attestCmd  `cmd:"" group:"contract" help:"State, under your name, that a duty is met."`
	Waive   waiveCmd   `cmd:"" group:"contract" help:"Propose to accept that a duty is not met, and sign it."`

	Attestation statementsCmd   `cmd:"" group:"contract" help:"List or withdraw attestations."`
	Waiver      statementsCmd   `cmd:"" group:"contract" help:"List or withdraw waivers."`
	Sub         subscriptionCmd `cmd:"" name:"subscription" group:"contract" help:"Buy managed services, which move duties to the provider, and end them."`
	Catalog     catalogCmd      `cmd:"" group:"contract" help:"The duties, and the catalogues that hold them."`
	Policy      policyCmd       `cmd:"" group:"contract" help:"Policies of services: propose and sign, list."`
	Services    servicesCmd     `cmd:"" group:"contract" help:"List the managed services."`

	Key      keyCmd      `cmd:"" group:"contract" help:"Keys that the customer's decisions are signed with."`
	Decision decisionCmd `cmd:"" group:"contract" help:"Decisions that take a customer's signature: list, show, submit, withdraw."`
	Sign     signCmd     `cmd:"" group:"contract" help:"Sign a decision, after saying in words what it is."`

	Session sessionCmd `cmd:"" group:"audit" help:"Recorded sessions of the provider's people: list, replay, verify."`
	Target  targetCmd  `cmd:"" group:"estate" help:"What sessions of the provider's people can reach: add, list, remove."`
	Access  accessCmd  `cmd:"" group:"estate" help:"Access of the provider's people to a customer's environment."`

	Tenant  tenantCmd  `cmd:"" group:"estate" help:"Tenants: create, show, list, change."`
	VDC     vdcCmd     `cmd:"" name:"vdc" group:"estate" help:"Virtual data centres: create, show, list."`
	VM      vmCmd      `cmd:"" name:"vm" group:"estate" help:"Virtual machines: create, show, list, declare."`
	Contact contactCmd `cmd:"" group:"estate" help:"Contacts: create, show, list, change, verify, delete."`
	Agent   agentCmd   `cmd:"" group:"estate" help:"Agents: enrol, list, revoke, refresh."`
	Facts   factsCmd   `cmd:"" group:"estate" help:"Show the latest facts about a VM."`

	Activity   activityCmd   `cmd:"" group:"audit" help:"What the provider did in a tenant, in words, newest first."`
	Audit      auditCmd      `cmd:"" group:"audit" help:"Show that no session was without approval."`
	Review     reviewCmd     `cmd:"" group:"audit" help:"Regular reviews of logs and networks: list, show, sign off, plan."`
	Incident   incidentCmd   `cmd:"" group:"audit" help:"Incidents: list, close."`
	Privileges privilegesCmd `cmd:"" group:"audit" help:"Rights that nobody uses, and roles wider than needed."`
	Identity   identitiesCmd `cmd:"" name:"provider-identity" group:"audit" help:"Accounts, keys and networks of the provider's people, which must not be seen in a guest: list, add, remove."`

	Ledger ledgerCmd `cmd:"" group:"audit" help:"The ledger of administrative acts."`
	Verify verifyCmd `cmd:"" group:"audit" help:"Verify a ledger bundle without the server."`
	Export exportCmd `cmd:"" group:"audit" help:"Export OSCAL documents or the customer responsibility matrix."`
	Import importCmd `cmd:"" group:"audit" help:"Make a catalogue of an OSCAL component definition."`

	ServerProgram serverCmd  `cmd:"" name:"server" group:"programs" passthrough:"" help:"Run the server."`
	Up            upCmd      `cmd:"" group:"programs" passthrough:"" help:"Run everything on this machine."`
	Down          downCmd    `cmd:"" group:"programs" passthrough:"" help:"End what up started in the background."`
	Witness       witnessCmd `cmd:"" group:"programs" passthrough:"" help:"Run a witness of ledgers."`

	Status  statusCmd  `cmd:"" group:"client" help:"Server, duties, ledger and agents at a glance."`
	Whoami  whoamiCmd  `cmd:"" group:"client" help:"As whom the server sees you, and what you may do."`
	Login   loginCmd   `cmd:"" group:"client" help:"Sign in, and keep server and token in the profile."`
	Logout  logoutCmd  `cmd:"" group:"client" help:"End the token of the profile and forget it."`
	Join    joinCmd    `cmd:"" group:"client" help:"Accept an invitation with a password and an authenticator app."`
	Person  personCmd  `cmd:"" group:"client" help:"People: invite, list, change their role, remove."`
	OIDC    oidcCmd    `cmd:"" name:"oidc" group:"client" help:"OpenID providers that people sign in at: add, list, remove."`
	Token   tokenCmd   `cmd:"" group:"client" help:"Tokens: add your own, create those of services, list, revoke."`
	Version versionCmd `cmd:"" group:"client" help:"Version of this program."`
}
