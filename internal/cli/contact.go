package cli

import (
	"cmp"
	"context"
	"fmt"

	"github.com/demarc/demarc/api"
)

type contactCmd struct {
	Create contactCreateCmd `cmd:"" help:"Make a contact."`
	Show   contactShowCmd   `cmd:"" help:"Show a contact."`
	List   contactListCmd   `cmd:"" help:"List the contacts of a tenant."`
	Change contactChangeCmd `cmd:"" help:"Change a contact; it has to be verified again."`
	Verify contactVerifyCmd `cmd:"" help:"Record that the contact was reached."`
	Delete contactDeleteCmd `cmd:"" help:"Forget a contact."`
}

type contactCreateCmd struct {
	Role      string `required:"" enum:"administrator,security,billing" help:"administrator, security or billing." placeholder:"ROLE"`
	Name      string `required:"" help:"Name of the person." placeholder:"NAME"`
	Mail      string `required:"" help:"Mail address." placeholder:"ADDRESS"`
	Telephone string `help:"Telephone number." placeholder:"NUMBER"`
	ofTenant
}

// Help is shown below the flags.
func (contactCreateCmd) Help() string {
	return `Example:
  demarc contact create --role security --name "Ana Lima" --mail ana@customer.example`
}

type contactChangeCmd struct {
	ID        string `arg:"" name:"id" help:"Id of the contact."`
	Role      string `enum:",administrator,security,billing" default:"" help:"administrator, security or billing." placeholder:"ROLE"`
	Name      string `help:"Name of the person." placeholder:"NAME"`
	Mail      string `help:"Mail address." placeholder:"ADDRESS"`
	Telephone string `help:"Telephone number." placeholder:"NUMBER"`
	ofTenant
}

type contactShowCmd struct {
	ID string `arg:"" name:"id" help:"Id of the contact."`
	ofTenant
}

type contactListCmd struct{ ofTenant }

type contactVerifyCmd struct {
	ID string `arg:"" name:"id" help:"Id of the contact."`
	ofTenant
}

type contactDeleteCmd struct {
	ID string `arg:"" name:"id" help:"Id of the contact."`
	ofTenant
	consent
}

var contactColumns = []column[api.Contact]{
	{key: "id", head: "ID", text: func(v api.Contact) string { return v.ID }},
	{key: "role", head: "ROLE", text: func(v api.Contact) string { return v.Role }},
	{key: "name", head: "NAME", fit: cut, text: func(v api.Contact) string { return v.Name }},
	{key: "mail", head: "MAIL", fit: cut, text: func(v api.Contact) string { return v.Mail }},
	{key: "telephone", head: "TELEPHONE", fit: cut, text: func(v api.Contact) string { return v.Telephone }},
	{key: "verified", head: "VERIFIED", text: func(v api.Contact) string { return stampOf(v.Verified) },
		show: func(v api.Contact) string { return cmp.Or(clockOf(v.Verified), "no") }},
}

// Run makes a contact.
func (c *contactCreateCmd) Run(ctx context.Context, s *session) error {
	client, tenant, err := s.within(ctx, c.Tenant)
	if err != nil {
		return err
	}
	v, err := client.CreateContact(ctx, tenant, api.NewContact{Role: c.Role, Name: c.Name, Mail: c.Mail, Telephone: c.Telephone})
	if err != nil {
		return fmt.Errorf("making a contact of tenant %s: %w", tenant, err)
	}
	return printOne(s, v, contactColumns)
}

// Run shows a contact.
func (c *contactShowCmd) Run(ctx context.Context, s *session) error {
	client, tenant, err := s.within(ctx, c.Tenant)
	if err != nil {
		return err
	}
	v, err := client.Contact(ctx, tenant, c.ID)
	if err != nil {
		return fmt.Errorf("reading contact %s of tenant %s: %w", c.ID, tenant, err)
	}
	return printOne(s, v, contactColumns)
}

// Run lists contacts.
func (c *contactListCmd) Run(ctx context.Context, s *session) error {
	client, tenant, err := s.within(ctx, c.Tenant)
	if err != nil {
		return err
	}
	all, err := api.Collect(client.Contacts(ctx, tenant))
	if err != nil {
		return fmt.Errorf("listing contacts of tenant %s: %w", tenant, err)
	}
	return printList(s, all, contactColumns, "No contact yet: make one with `demarc contact create`.")
}

// Run changes a contact.
func (c *contactChangeCmd) Run(ctx context.Context, s *session) error {
	client, tenant, err := s.within(ctx, c.Tenant)
	if err != nil {
		return err
	}
	old, err := client.Contact(ctx, tenant, c.ID)
	if err != nil {
		return fmt.Errorf("reading contact %s of tenant %s: %w", c.ID, tenant, err)
	}
	v, err := client.ReplaceContact(ctx, tenant, c.ID, old.Version, api.NewContact{
		Role: cmp.Or(c.Role, old.Role), Name: cmp.Or(c.Name, old.Name),
		Mail: cmp.Or(c.Mail, old.Mail), Telephone: cmp.Or(c.Telephone, old.Telephone),
	})
	if err != nil {
		return fmt.Errorf("changing contact %s of tenant %s: %w", c.ID, tenant, err)
	}
	return printOne(s, v, contactColumns)
}

// Run records that a contact was reached.
func (c *contactVerifyCmd) Run(ctx context.Context, s *session) error {
	client, tenant, err := s.within(ctx, c.Tenant)
	if err != nil {
		return err
	}
	v, err := client.VerifyContact(ctx, tenant, c.ID)
	if err != nil {
		return fmt.Errorf("verifying contact %s of tenant %s: %w", c.ID, tenant, err)
	}
	return printOne(s, v, contactColumns)
}

// Run forgets a contact.
func (c *contactDeleteCmd) Run(ctx context.Context, s *session) error {
	if err := s.confirm(c.consent, "Forget contact %s?", c.ID); err != nil {
		return err
	}
	client, tenant, err := s.within(ctx, c.Tenant)
	if err != nil {
		return err
	}
	if err := client.DeleteContact(ctx, tenant, c.ID); err != nil {
		return fmt.Errorf("deleting contact %s of tenant %s: %w", c.ID, tenant, err)
	}
	s.note("contact %s is forgotten", c.ID)
	return nil
}
