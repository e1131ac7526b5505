package cli

import (
	"context"
	"fmt"
	"os"
	"strings"

	"github.com/demarc/demarc/api"
)

type targetCmd struct {
	Add    targetAddCmd    `cmd:"" help:"Register a host or web console."`
	List   targetListCmd   `cmd:"" help:"List the targets."`
	Remove targetRemoveCmd `cmd:"" help:"Take a target out of reach."`
	Keys   targetKeysCmd   `cmd:"" help:"Show what a host must trust, and the gateway's own key."`
}

type targetAddCmd struct {
	Name    string   `arg:"" help:"Name that people sign in by, such as hv-1."`
	Host    string   `xor:"kind" required:"" help:"HOST or HOST:PORT of a host with OpenSSH." placeholder:"HOST"`
	URL     string   `xor:"kind" required:"" name:"url" help:"https address of a web console." placeholder:"URL"`
	User    string   `default:"root" help:"Account that sessions have on the host; root if left out." placeholder:"NAME"`
	HostKey []string `sep:"none" help:"Public key of the host, 'TYPE BASE64'; repeatable. Without it, the host is asked, and you." placeholder:"KEY"`
	HostCA  []string `name:"host-ca" sep:"none" help:"Public key of an authority that signs host keys; repeatable." placeholder:"KEY"`
	CA      string   `name:"ca" type:"existingfile" help:"PEM file of who vouches for the web console." placeholder:"FILE"`
	Pin     string   `help:"SHA-256 of the web console's public key, sha256:HEX. Without --ca and it, the console is asked, and you." placeholder:"DIGEST"`
	consent
}

// Help is shown below the flags.
func (targetAddCmd) Help() string {
	return `What a target shows at the first connection is never just believed: name its key, or compare the fingerprint that is shown. A customer's guest cannot be a target.

Examples:
  demarc target add hv-1 --host hv-1.example.org --user root
  demarc target add vcenter --url https://vcenter.example.org --ca vcenter-ca.pem`
}

type targetListCmd struct{}

type targetRemoveCmd struct {
	Target string `arg:"" help:"Name or id of the target."`
	consent
}

type targetKeysCmd struct{}

// Help is shown below the flags.
func (targetKeysCmd) Help() string {
	return `A host trusts the gateway by two lines: put TRUSTED USER CA into /etc/ssh/demarc.pub, and

  TrustedUserCAKeys /etc/ssh/demarc.pub

into its sshd_config.`
}

var targetColumns = []column[api.Target]{
	{key: "name", head: "NAME", text: func(v api.Target) string { return v.Name }},
	{key: "kind", head: "KIND", text: func(v api.Target) string { return v.Kind }},
	{key: "address", head: "ADDRESS", fit: cut, text: func(v api.Target) string { return v.Address }},
	{key: "user", head: "USER", text: func(v api.Target) string { return v.User }},
	{key: "known_by", head: "KNOWN BY", fit: flow, text: func(v api.Target) string {
		by := append([]string{}, v.Fingerprints...)
		if len(v.HostCA) > 0 {
			by = append(by, "host certificates")
		}
		if v.CA != "" {
			by = append(by, "certificate authority")
		}
		return strings.Join(append(by, v.Pin), " ")
	}},
	{key: "id", head: "ID", text: func(v api.Target) string { return v.ID }},
	{key: "created_at", text: func(v api.Target) string { return stamp(v.CreatedAt) }},
}

var gatewayKeyColumns = []column[api.GatewayKeys]{
	{key: "trusted_user_ca", head: "TRUSTED USER CA", text: func(v api.GatewayKeys) string { return v.TrustedUserCA }},
	{key: "host_key", head: "GATEWAY KEY", text: func(v api.GatewayKeys) string { return v.HostKey }},
	{key: "fingerprint", head: "FINGERPRINT", text: func(v api.GatewayKeys) string { return v.Fingerprint }},
	{key: "address", head: "GATEWAY", text: func(v api.GatewayKeys) string { return v.Address }},
	{key: "proxy", head: "WEB CONSOLES", text: func(v api.GatewayKeys) string { return v.Proxy }},
}

// Run registers a target.
func (c *targetAddCmd) Run(ctx context.Context, s *session) error {
	client, err := s.connect()
	if err != nil {
		return err
	}
	in := api.NewTarget{Name: c.Name, Kind: "host", Address: c.Host, User: c.User, HostKeys: c.HostKey, HostCA: c.HostCA, Pin: c.Pin}
	if c.URL != "" {
		in.Kind, in.Address, in.User = "web", c.URL, ""
	}
	if c.CA != "" {
		pem, err := os.ReadFile(c.CA)
		if err != nil {
			return fmt.Errorf("reading --ca: %w", err)
		}
		in.CA = string(pem)
	}
	switch {
	case in.Kind == "host" && len(in.HostKeys)+len(in.HostCA) == 0:
		in.HostKeys, err = s.askHost(ctx, c.consent, c.Host)
	case in.Kind == "web" && in.CA == "" && in.Pin == "":
		in.Pin, err = s.askConsole(ctx, c.consent, c.URL)
	}
	if err != nil {
		return err
	}
	t, err := client.CreateTarget(ctx, in)
	if err != nil {
		return fmt.Errorf("registering target %s: %w", c.Name, err)
	}
	return printOne(s, t, targetColumns)
}

// Run lists targets.
func (c *targetListCmd) Run(ctx context.Context, s *session) error {
	client, err := s.connect()
	if err != nil {
		return err
	}
	all, err := api.Collect(client.Targets(ctx))
	if err != nil {
		return fmt.Errorf("listing targets: %w", err)
	}
	return printList(s, all, targetColumns, "No target yet: register one with `demarc target add`.")
}

// Run takes a target out of reach.
func (c *targetRemoveCmd) Run(ctx context.Context, s *session) error {
	if err := s.confirm(c.consent, "Take target %s out of reach, and close what is open to it?", c.Target); err != nil {
		return err
	}
	client, err := s.connect()
	if err != nil {
		return err
	}
	if err := client.RemoveTarget(ctx, c.Target); err != nil {
		return fmt.Errorf("removing target %s: %w", c.Target, err)
	}
	s.note("target %s is out of reach", c.Target)
	return nil
}

// Run shows the keys.
func (c *targetKeysCmd) Run(ctx context.Context, s *session) error {
	client, err := s.connect()
	if err != nil {
		return err
	}
	keys, err := client.GatewayKeys(ctx)
	if err != nil {
		return fmt.Errorf("reading the gateway's keys: %w", err)
	}
	return printOne(s, keys, gatewayKeyColumns)
}
