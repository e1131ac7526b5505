package cli

import (
	"cmp"
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/demarc/demarc/api"
)

type accessCmd struct {
	Request     accessRequestCmd `cmd:"" help:"Ask for access to a customer's environment."`
	List        accessListCmd    `cmd:"" help:"List requests and grants, past ones too."`
	Show        accessShowCmd    `cmd:"" help:"Show a grant with its history."`
	Ask         accessAskCmd     `cmd:"" help:"Ask who wants access for more information."`
	Answer      accessAnswerCmd  `cmd:"" help:"Answer the customer's question."`
	Approve     accessApproveCmd `cmd:"" help:"Approve a request, or less of it; the signature gives effect."`
	Refuse      accessRefuseCmd  `cmd:"" help:"Refuse a request."`
	Extend      accessExtendCmd  `cmd:"" help:"Ask for more time; the grant goes on until its end."`
	Revoke      accessRevokeCmd  `cmd:"" help:"End somebody's access now, with its live sessions."`
	Close       accessCloseCmd   `cmd:"" help:"End your own access with its task, or withdraw a request."`
	BreakGlass  breakGlassCmd    `cmd:"" name:"break-glass" help:"Take access in an emergency; the customer is told within a day."`
	Notice      accessNoticeCmd  `cmd:"" help:"Tell the customer what was done in an emergency."`
	Acknowledge accessAcceptCmd  `cmd:"" help:"Accept the notice of an emergency."`
	Dispute     accessDisputeCmd `cmd:"" help:"Say that the emergency did not justify the access."`
	accessUse
}

// oneGrant names a grant.
type oneGrant struct {
	Grant string `arg:"" help:"Id of the grant, as demarc access list shows it."`
	ofTenant
}

// at connects and finds the tenant of the grant: the one named, or your own, or,
// for the provider, whichever it is of.
func (g oneGrant) at(ctx context.Context, s *session) (*api.Client, string, error) {
	client, err := s.connect()
	if err != nil || g.Tenant != "" {
		return client, g.Tenant, err
	}
	who, err := client.Whoami(ctx)
	if err != nil {
		return nil, "", fmt.Errorf("finding out the tenant: %w", err)
	}
	if who.Tenant != "" {
		return client, who.Tenant, nil
	}
	x, err := client.FindGrant(ctx, g.Grant)
	if err != nil {
		return nil, "", fmt.Errorf("finding grant %s: %w", g.Grant, err)
	}
	return client, x.Tenant, nil
}

// span is an amount of time on the command line, in whole minutes: 45m, 2h, 1h30m.
type span string

// minutes returns the amount; an empty one is 0.
func (a span) minutes() (int, error) {
	if a == "" {
		return 0, nil
	}
	d, err := time.ParseDuration(string(a))
	if err != nil || d < time.Minute || d%time.Minute != 0 || d > 1000*time.Hour {
		return 0, usage("write 45m, 2h or 1h30m", "%q is no time of whole minutes", string(a))
	}
	return int(d.Minutes()), nil
}

// scope is what access is for, as DO@TARGET.
type scope []string

func (a scope) abilities() ([]api.Ability, error) {
	var out []api.Ability
	for _, text := range a {
		do, target, ok := strings.Cut(text, "@")
		if !ok || do == "" || target == "" {
			return nil, usage("write shell@hv-1; what can be done is shell, console, exec, sftp or forward", "%q is not of the form DO@TARGET", text)
		}
		out = append(out, api.Ability{Do: do, Target: target})
	}
	return out, nil
}

func scopeText(all []api.Ability) string {
	var out []string
	for _, a := range all {
		out = append(out, a.Do+"@"+a.Target)
	}
	return strings.Join(out, " ")
}

func grantHue(v api.Grant) hue {
	switch {
	case v.Notice == "overdue", v.Notice == "disputed":
		return red
	case v.State == "active":
		return green
	case v.State == "requested", v.State == "in-review", v.State == "approved":
		return yellow
	}
	return faint
}

func stateText(v api.Grant) string {
	if v.BreakGlass {
		return v.State + ", glass broken"
	}
	return v.State
}

var grantColumns = []column[api.Grant]{
	{key: "id", head: "ID", text: func(v api.Grant) string { return v.ID }},
	{key: "tenant", head: "TENANT", fit: cut, text: func(v api.Grant) string { return v.Tenant }, show: func(v api.Grant) string { return cmp.Or(v.TenantName, v.Tenant) }},
	{key: "holder", head: "WHO", fit: cut, text: func(v api.Grant) string { return v.Holder }, show: func(v api.Grant) string { return cmp.Or(v.HolderName, v.Holder) }},
	{key: "ticket", head: "TICKET", fit: cut, text: func(v api.Grant) string { return v.Ticket }},
	{key: "state", head: "STATE", text: func(v api.Grant) string { return v.State }, show: stateText, hue: grantHue},
	{key: "from", text: func(v api.Grant) string { return stampOf(v.From) }},
	{key: "until", text: func(v api.Grant) string { return stampOf(v.Until) }},
	{key: "next", head: "NEXT", fit: flow, text: func(v api.Grant) string { return v.Next }},
}

type accessListCmd struct {
	Tenant string `help:"Of one tenant; your own, or for the provider all, if left out." placeholder:"NAME"`
	State  string `enum:"open,requested,in-review,approved,active,expired,revoked,closed,refused,lapsed," default:"" help:"In one state, or open for all that wait for a decision." placeholder:"STATE"`
	Mine   bool   `help:"Only your own."`
}

// Help is shown below the flags.
func (accessListCmd) Help() string {
	return `Examples:
  demarc access list --state open
  demarc access list --tenant acme --output json`
}

// Run lists grants.
func (c *accessListCmd) Run(ctx context.Context, s *session) error {
	client, err := s.connect()
	if err != nil {
		return err
	}
	who, err := client.Whoami(ctx)
	if err != nil {
		return fmt.Errorf("finding out who you are: %w", err)
	}
	f := api.GrantFilter{State: c.State}
	if c.Mine {
		f.Holder = who.ID
	}
	list := client.AllGrants(ctx, f)
	if tenant := cmp.Or(c.Tenant, who.Tenant); tenant != "" {
		list = client.Grants(ctx, tenant, f)
	}
	all, err := api.Collect(list)
	if err != nil {
		return fmt.Errorf("listing grants: %w", err)
	}
	return printList(s, all, grantColumns, "Nobody of the provider asked for access. `demarc access request --help` says how.")
}

type accessShowCmd struct{ oneGrant }

// Run shows a grant.
func (c *accessShowCmd) Run(ctx context.Context, s *session) error {
	client, tenant, err := c.at(ctx, s)
	if err != nil {
		return err
	}
	v, err := client.Grant(ctx, tenant, c.Grant)
	if err != nil {
		return fmt.Errorf("reading grant %s: %w", c.Grant, err)
	}
	if s.flags.Output != "table" {
		return printOne(s, v, grantColumns)
	}
	p := &page{width: s.width(), colour: s.colour()}
	showGrant(p, v)
	return s.print(p.String())
}

func showGrant(p *page, v api.Grant) {
	p.line(bold, v.ID)
	p.text(0, v.Purpose)
	p.blank()
	p.line(grantHue(v), stateText(v))
	p.text(2, v.Next)
	if d := unsigned(v); d != "" {
		p.text(2, "an approval waits for its signature: demarc sign "+d)
	}
	p.head("What")
	p.pair("who", cmp.Or(v.HolderName, v.Holder))
	p.pair("tenant", cmp.Or(v.TenantName, v.Tenant))
	p.pair("ticket", cmp.Or(v.Ticket, "none yet"))
	p.pair("asked for", scopeText(v.Scope)+", "+strconv.Itoa(v.Minutes)+" minutes"+from(v.Wanted))
	p.pair("continues", v.Extends)
	if v.From != nil {
		p.pair("granted", scopeText(v.Granted)+", from "+clockOf(v.From)+" to "+clockOf(v.Until)+" UTC")
	}
	p.pair("signed by", v.ApprovedBy)
	p.pair("decision", v.Decision)
	if len(v.History) > 0 {
		p.head("History")
	}
	for _, e := range v.History {
		p.text(2, "- "+strings.TrimSpace(clock(e.At)+" "+e.What+" by "+e.Actor+" "+e.Decision))
		if e.Words != "" {
			p.detail(4, e.Words)
		}
	}
}

// unsigned is the decision that was last proposed about an undecided request.
func unsigned(v api.Grant) (decision string) {
	if v.State != "requested" && v.State != "in-review" {
		return ""
	}
	for _, e := range v.History {
		if e.What == "propose" {
			decision = e.Decision
		}
	}
	return decision
}

func from(t *time.Time) string {
	if t == nil {
		return ""
	}
	return ", from " + clock(*t) + " UTC"
}
