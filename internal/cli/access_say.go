package cli

import (
	"context"
	"fmt"

	"github.com/demarc/demarc/api"
)

// say does something to a grant with words, and prints what became of it.
func (g oneGrant) say(ctx context.Context, s *session, what api.GrantAct, doing, words string) error {
	client, tenant, err := g.at(ctx, s)
	if err != nil {
		return err
	}
	v, err := client.SayGrant(ctx, tenant, g.Grant, what, words)
	if err != nil {
		return fmt.Errorf("%s grant %s: %w", doing, g.Grant, err)
	}
	return printOne(s, v, grantColumns)
}

type accessAskCmd struct {
	oneGrant
	Question string `arg:"" help:"What you want to know."`
}

// Run asks a question.
func (c *accessAskCmd) Run(ctx context.Context, s *session) error {
	return c.say(ctx, s, api.AskGrant, "asking about", c.Question)
}

type accessAnswerCmd struct {
	oneGrant
	Answer string `arg:"" help:"Your answer."`
}

// Run answers.
func (c *accessAnswerCmd) Run(ctx context.Context, s *session) error {
	return c.say(ctx, s, api.AnswerGrant, "answering about", c.Answer)
}

type accessRefuseCmd struct {
	oneGrant
	Reason string `required:"" help:"Why; whoever asked reads it." placeholder:"TEXT"`
}

// Run refuses.
func (c *accessRefuseCmd) Run(ctx context.Context, s *session) error {
	return c.say(ctx, s, api.RefuseGrant, "refusing", c.Reason)
}

type accessRevokeCmd struct {
	oneGrant
	Reason string `required:"" help:"Why." placeholder:"TEXT"`
}

// Run revokes. It does not ask first: it ends nothing that cannot be granted again.
func (c *accessRevokeCmd) Run(ctx context.Context, s *session) error {
	return c.say(ctx, s, api.RevokeGrant, "revoking", c.Reason)
}

type accessCloseCmd struct {
	oneGrant
	Done string `required:"" help:"What was done, or why the request is withdrawn." placeholder:"TEXT"`
}

// Run closes.
func (c *accessCloseCmd) Run(ctx context.Context, s *session) error {
	return c.say(ctx, s, api.CloseGrant, "closing", c.Done)
}

type accessAcceptCmd struct {
	oneGrant
	Words string `default:"acknowledged" help:"What you want to say to it." placeholder:"TEXT"`
}

// Run accepts a notice.
func (c *accessAcceptCmd) Run(ctx context.Context, s *session) error {
	return c.say(ctx, s, api.AcknowledgeGrant, "accepting the notice of", c.Words)
}

type accessDisputeCmd struct {
	oneGrant
	Reason string `required:"" help:"Why it was no emergency." placeholder:"TEXT"`
}

// Run disputes a notice.
func (c *accessDisputeCmd) Run(ctx context.Context, s *session) error {
	return c.say(ctx, s, api.DisputeGrant, "disputing the notice of", c.Reason)
}

type accessNoticeCmd struct {
	oneGrant
	Done   string `required:"" help:"What was done, and why it could not wait." placeholder:"TEXT"`
	Ticket string `help:"The customer's matter that it was for; needed if none was named yet." placeholder:"INC-1234"`
}

// Run tells the customer.
func (c *accessNoticeCmd) Run(ctx context.Context, s *session) error {
	client, tenant, err := c.at(ctx, s)
	if err != nil {
		return err
	}
	v, err := client.NotifyGrant(ctx, tenant, c.Grant, api.GrantNotice{Words: c.Done, Ticket: c.Ticket})
	if err != nil {
		return fmt.Errorf("giving notice of grant %s: %w", c.Grant, err)
	}
	return printOne(s, v, grantColumns)
}
