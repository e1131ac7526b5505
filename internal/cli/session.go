package cli

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"strconv"
	"time"

	"github.com/demarc/demarc/api"
)

type sessionCmd struct {
	List   sessionListCmd   `cmd:"" help:"List recorded sessions in a customer's environment."`
	Show   sessionShowCmd   `cmd:"" help:"Show a session."`
	Replay sessionReplayCmd `cmd:"" help:"Replay a session in this terminal."`
	Verify sessionVerifyCmd `cmd:"" help:"Compare a recording with the ledger."`
	Export sessionExportCmd `cmd:"" help:"Write a recording to a file (asciicast v2)."`
}

type sessionListCmd struct {
	Grant string `help:"Those under one grant." placeholder:"ID"`
	State string `enum:",open,complete,cut" default:"" help:"open, complete or cut." placeholder:"STATE"`
	ofTenant
}

// oneSession names a session.
type oneSession struct {
	ID string `arg:"" name:"session" help:"Id of the session."`
	ofTenant
}

type sessionShowCmd struct{ oneSession }

type sessionVerifyCmd struct{ oneSession }

type sessionExportCmd struct {
	Out string `help:"Write to a file; standard output if left out." placeholder:"FILE"`
	Raw bool   `help:"With what could harm a terminal, exactly as it was recorded."`
	oneSession
}

// Help is shown below the flags.
func (sessionExportCmd) Help() string {
	return `The viewing is recorded in the ledger.

Example:
  demarc session export rec-01h... --tenant acme --out session.cast`
}

// Help is shown below the flags.
func (sessionVerifyCmd) Help() string {
	return `Exits with 3 if the recording is not what was sealed while the session ran.`
}

var sessionColumns = []column[api.Session]{
	{key: "id", head: "ID", text: func(v api.Session) string { return v.ID }},
	{key: "started", head: "STARTED", text: func(v api.Session) string { return stamp(v.Started) }, show: func(v api.Session) string { return clock(v.Started) }},
	{key: "ended", head: "ENDED", text: func(v api.Session) string { return stampOf(v.Ended) }, show: func(v api.Session) string { return clockOf(v.Ended) }},
	{key: "who", head: "WHO", fit: cut, text: func(v api.Session) string { return cmp.Or(v.HolderName, v.Holder) }},
	{key: "target", head: "TARGET", text: func(v api.Session) string { return v.TargetName }},
	{key: "kind", head: "KIND", text: func(v api.Session) string { return v.Kind }},
	{key: "state", head: "STATE", text: func(v api.Session) string { return v.State }, hue: func(v api.Session) hue {
		return map[string]hue{"open": cyan, "cut": yellow}[v.State]
	}},
	{key: "grant", head: "GRANT", text: func(v api.Session) string { return v.Grant }},
	{key: "reason", head: "WHY IT ENDED", fit: flow, text: func(v api.Session) string { return v.Reason }},
	{key: "segments", text: func(v api.Session) string { return strconv.FormatInt(v.Segments, 10) }},
	{key: "bytes", text: func(v api.Session) string { return strconv.FormatInt(v.Bytes, 10) }},
	{key: "seconds", text: func(v api.Session) string { return seconds(v.Seconds) }},
}

var sessionVerificationColumns = []column[api.SessionVerification]{
	{key: "whole", head: "WHOLE", text: func(v api.SessionVerification) string { return yes(v.Whole) }, hue: func(v api.SessionVerification) hue {
		if v.Whole {
			return green
		}
		return red
	}},
	{key: "segments", head: "SEGMENTS RIGHT", text: func(v api.SessionVerification) string { return strconv.FormatInt(v.Segments, 10) }},
	{key: "seconds", head: "RIGHT UNTIL", text: func(v api.SessionVerification) string { return seconds(v.Seconds) }},
	{key: "fault", head: "FAULT", fit: flow, text: func(v api.SessionVerification) string { return v.Fault }, hue: func(api.SessionVerification) hue { return red }},
	{key: "where", head: "WHERE", text: func(v api.SessionVerification) string {
		if v.Segment == 0 {
			return ""
		}
		return "segment " + strconv.FormatInt(v.Segment, 10) + ", from " + seconds(v.From) + " to " + seconds(v.To)
	}},
}

// seconds is a time within a session.
func seconds(s float64) string {
	return (time.Duration(s*1000) * time.Millisecond).String()
}

// Run lists sessions.
func (c *sessionListCmd) Run(ctx context.Context, s *session) error {
	client, tenant, err := s.within(ctx, c.Tenant)
	if err != nil {
		return err
	}
	all, err := api.Collect(client.Sessions(ctx, tenant, c.Grant, c.State))
	if err != nil {
		return fmt.Errorf("listing sessions of tenant %s: %w", tenant, err)
	}
	columns := sessionColumns
	if s.flags.Output == "table" {
		columns = without(columns, "reason") // show has it
	}
	return printList(s, all, columns, "No session was opened in this environment.")
}

// Run shows a session.
func (c *sessionShowCmd) Run(ctx context.Context, s *session) error {
	client, tenant, err := s.within(ctx, c.Tenant)
	if err != nil {
		return err
	}
	v, err := client.Session(ctx, tenant, c.ID)
	if err != nil {
		return fmt.Errorf("reading session %s of tenant %s: %w", c.ID, tenant, err)
	}
	return printOne(s, v, sessionColumns)
}

// Run compares a recording with the ledger.
func (c *sessionVerifyCmd) Run(ctx context.Context, s *session) error {
	client, tenant, err := s.within(ctx, c.Tenant)
	if err != nil {
		return err
	}
	v, err := client.VerifySession(ctx, tenant, c.ID)
	if err != nil {
		return fmt.Errorf("verifying session %s of tenant %s: %w", c.ID, tenant, err)
	}
	if err := printOne(s, v, sessionVerificationColumns); err != nil {
		return err
	}
	if !v.Whole {
		return &fault{code: ExitVerification, err: fmt.Errorf("recording %s is not what was sealed: %s", c.ID, v.Fault), next: "the ledger has what was sealed: `demarc ledger list --subject session/" + c.ID + "`"}
	}
	return nil
}

// Run writes a recording to a file.
func (c *sessionExportCmd) Run(ctx context.Context, s *session) error {
	client, tenant, err := s.within(ctx, c.Tenant)
	if err != nil {
		return err
	}
	return s.deliver(c.Out, false, func(w io.Writer) error {
		if err := client.SessionCast(ctx, w, tenant, c.ID, !c.Raw); err != nil {
			return fmt.Errorf("exporting session %s of tenant %s: %w", c.ID, tenant, err)
		}
		return nil
	})
}
