package cli

import (
	"context"
	"fmt"
	"io"
	"path/filepath"

	"github.com/demarc/demarc/api"
)

type exportCmd struct {
	OSCAL exportOSCALCmd `cmd:"" name:"oscal" help:"OSCAL in JSON: the provider's component definition, a tenant's SSP or assessment results."`
	CRM   exportCRMCmd   `cmd:"" name:"crm" help:"A tenant's customer responsibility matrix, without the provider's internals."`
}

type exportOSCALCmd struct {
	What string `enum:"component,provider-ssp,ssp,results" default:"component" help:"component, provider-ssp, ssp or results; component if left out." placeholder:"DOCUMENT"`
	Out  string `help:"Write to a file; standard output if left out." placeholder:"FILE"`
	ofTenant
}

type exportCRMCmd struct {
	Format string `enum:"xlsx,csv" default:"xlsx" help:"xlsx or csv; xlsx if left out." placeholder:"FORMAT"`
	Out    string `help:"Write to a file; standard output if left out." placeholder:"FILE"`
	ofTenant
}

// Help is shown below the flags.
func (exportCRMCmd) Help() string {
	return `Example:
  demarc export crm --tenant acme --out acme.xlsx`
}

// Run exports OSCAL.
func (c *exportOSCALCmd) Run(ctx context.Context, s *session) error {
	if c.What == "ssp" || c.What == "results" {
		return s.export(ctx, c.Tenant, "oscal-"+c.What, c.Out, false)
	}
	client, err := s.connect()
	if err != nil {
		return err
	}
	fetch := client.ExportComponent
	if c.What == "provider-ssp" {
		fetch = client.ExportProviderSSP
	}
	return s.deliver(c.Out, false, func(w io.Writer) error {
		if err := fetch(ctx, w); err != nil {
			return fmt.Errorf("exporting the provider's OSCAL %s: %w", c.What, err)
		}
		return nil
	})
}

// Run exports the matrix.
func (c *exportCRMCmd) Run(ctx context.Context, s *session) error {
	return s.export(ctx, c.Tenant, "crm."+c.Format, c.Out, c.Format == "xlsx")
}

func (s *session) export(ctx context.Context, named, document, out string, binary bool) error {
	client, tenant, err := s.within(ctx, named)
	if err != nil {
		return err
	}
	return s.deliver(out, binary, func(w io.Writer) error {
		if err := client.Export(ctx, w, tenant, document); err != nil {
			return fmt.Errorf("exporting %s of tenant %s: %w", document, tenant, err)
		}
		return nil
	})
}

type importCmd struct {
	OSCAL importOSCALCmd `cmd:"" name:"oscal" help:"Make a catalogue of an OSCAL component definition; it is not loaded."`
}

type importOSCALCmd struct {
	File string `arg:"" help:"Component definition in JSON, or - for standard input."`
	Out  string `help:"Write to a file; standard output if left out." placeholder:"FILE"`
}

// Help is shown below the flags.
func (importOSCALCmd) Help() string {
	return `Example:
  demarc import oscal component.json --out catalogue.yaml && demarc catalog load catalogue.yaml`
}

// Run imports OSCAL.
func (c *importOSCALCmd) Run(ctx context.Context, s *session) error {
	raw, err := s.readSource(c.File)
	if err != nil {
		return fmt.Errorf("reading the component definition: %w", err)
	}
	client, err := s.connect()
	if err != nil {
		return err
	}
	v, err := client.ImportOSCAL(ctx, api.CatalogueSource{File: filepath.Base(c.File), Source: string(raw)})
	if err != nil {
		return fmt.Errorf("importing %s: %w", c.File, err)
	}
	return s.deliver(c.Out, false, func(w io.Writer) error {
		_, err := io.WriteString(w, v.Source)
		return err
	})
}
