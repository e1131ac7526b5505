package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"

	"github.com/demarc/demarc/api"
)

type policyCmd struct {
	Set  policySetCmd  `cmd:"" help:"Propose a service's policy for a tenant or one of its VMs, and sign it."`
	List policyListCmd `cmd:"" help:"List the policies in force, with their documents."`
}

type policySetCmd struct {
	Service string `arg:"" help:"The service, such as hardening."`
	File    string `arg:"" help:"JSON document, or - for standard input."`
	VM      string `name:"vm" help:"For one VM; for all of the tenant if left out." placeholder:"NAME"`
	Until   moment `help:"Agents obey it until then; until another replaces it if left out." placeholder:"TIME"`
	keyFlags
	ofTenant
	consent
}

// Help is shown below the flags.
func (policySetCmd) Help() string {
	return `It counts once it is signed: at once with --key, --agent or --pkcs11, else with demarc sign. The narrower policy counts: that of a VM before that of its tenant.

Example, a baseline of level 2 without one rule:
  echo '{"level":2,"disabled":[{"rule":"boot-loader-password","reason":"no console"}]}' >level2.json
  demarc policy set hardening level2.json --tenant acme --key sign`
}

type policyListCmd struct{ ofTenant }

// policyLimit bounds a policy document, in bytes.
const policyLimit = 1 << 20

var policyColumns = []column[api.Policy]{
	{key: "service", head: "SERVICE", text: func(v api.Policy) string { return v.Service }},
	{key: "subject", head: "FOR", fit: cut, text: func(v api.Policy) string { return about(v.Subject) }},
	{key: "version", head: "VERSION", text: func(v api.Policy) string { return strconv.FormatInt(v.Version, 10) }},
	{key: "created_at", head: "SINCE", text: func(v api.Policy) string { return stamp(v.CreatedAt) }},
	{key: "by", head: "BY", fit: cut, text: func(v api.Policy) string { return v.By }},
	{key: "digest", text: func(v api.Policy) string { return v.Digest }},
	{key: "document", head: "DOCUMENT", fit: flow, text: func(v api.Policy) string { return string(v.Document) }},
}

// Run sets a policy.
func (c *policySetCmd) Run(ctx context.Context, s *session) error {
	doc, err := c.document(s)
	if err != nil {
		return err
	}
	client, tenant, err := s.within(ctx, c.Tenant)
	if err != nil {
		return err
	}
	until, err := c.Until.at(s.now())
	if err != nil {
		return err
	}
	d, err := client.SetPolicy(ctx, tenant, c.Service, api.NewPolicy{VM: c.VM, Document: doc, Until: until})
	if err != nil {
		return fmt.Errorf("proposing the policy of %s: %w", c.Service, err)
	}
	return s.proposed(ctx, client, tenant, d, c.keyFlags, c.consent, func(m api.Matter) bool {
		var content struct {
			Service  string          `json:"service"`
			Document json.RawMessage `json:"document"`
		}
		return m.Kind == "agent-policy" && json.Unmarshal(m.Content, &content) == nil && content.Service == c.Service && sameJSON(content.Document, doc)
	})
}

func (c *policySetCmd) document(s *session) (json.RawMessage, error) {
	in := s.streams.In
	if c.File != "-" {
		f, err := os.Open(c.File)
		if err != nil {
			return nil, fmt.Errorf("opening the policy: %w", err)
		}
		defer f.Close()
		in = f
	}
	raw, err := io.ReadAll(io.LimitReader(in, policyLimit+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("reading the policy: %w", err)
	case len(raw) > policyLimit:
		return nil, errors.New("the policy is larger than 1 MiB")
	case !json.Valid(raw):
		return nil, fmt.Errorf("%s is no JSON document", c.File)
	}
	return raw, nil
}

// Run lists the policies of a tenant.
func (c *policyListCmd) Run(ctx context.Context, s *session) error {
	client, tenant, err := s.within(ctx, c.Tenant)
	if err != nil {
		return err
	}
	all, err := api.Collect(client.Policies(ctx, tenant))
	if err != nil {
		return fmt.Errorf("listing policies: %w", err)
	}
	return printList(s, all, policyColumns, "no policy was set: each service follows its own default")
}
