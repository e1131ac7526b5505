package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"github.com/demarc/demarc/api"
)

type catalogCmd struct {
	List     catalogListCmd     `cmd:"" help:"List the duties."`
	Show     catalogShowCmd     `cmd:"" help:"Show a duty."`
	Validate catalogValidateCmd `cmd:"" help:"Check a catalogue file without loading it; no server is needed."`
	Load     catalogLoadCmd     `cmd:"" help:"Put a catalogue file in force."`
	Versions catalogVersionsCmd `cmd:"" help:"List the catalogues and their versions."`
	Source   catalogSourceCmd   `cmd:"" help:"Print the source of a version."`
}

type catalogListCmd struct {
	Control string `help:"Of one control." placeholder:"ID"`
	Party   string `enum:",customer,provider" default:"" help:"Of one party: customer or provider." placeholder:"PARTY"`
}

type catalogShowCmd struct {
	Duty string `arg:"" help:"Id of the duty."`
}

type catalogValidateCmd struct {
	File string `arg:"" help:"Catalogue file in YAML, or - for standard input."`
}

type catalogLoadCmd struct {
	File string `arg:"" help:"Catalogue file in YAML, or - for standard input."`
}

type catalogVersionsCmd struct{}

type catalogSourceCmd struct {
	Name    string `arg:"" help:"Name of the catalogue."`
	Version string `arg:"" help:"Its version."`
	Out     string `help:"Write to a file." placeholder:"FILE"`
}

var dutyColumns = []column[api.Duty]{
	{key: "id", head: "ID", text: func(v api.Duty) string { return v.ID }},
	{key: "control", text: func(v api.Duty) string { return v.Control }},
	{key: "party", text: func(v api.Duty) string { return v.Party }},
	{key: "scope", head: "SCOPE", text: func(v api.Duty) string { return v.Scope }},
	{key: "level", head: "LEVEL", text: func(v api.Duty) string { return v.Level }},
	{key: "mode", head: "MODE", fit: flow, text: func(v api.Duty) string { return strings.Join(v.Mode, " ") }},
	{key: "title", head: "TITLE", fit: flow, text: func(v api.Duty) string { return v.Title }},
	{key: "services", head: "SERVICES", fit: flow, text: func(v api.Duty) string { return strings.Join(v.Services, " ") }},
}

var dutyDetails = append(without(dutyColumns, "party"), []column[api.Duty]{
	{key: "party", head: "PARTY", text: func(v api.Duty) string { return v.Party }},
	{key: "evidence", head: "EVIDENCE", fit: flow, text: func(v api.Duty) string { return v.Evidence }},
	{key: "reads", head: "READS", fit: flow, text: func(v api.Duty) string { return strings.Join(v.Reads, " ") }},
	{key: "missing", head: "MISSING", fit: flow, text: func(v api.Duty) string { return strings.Join(v.Missing, " ") }},
	{key: "remedy", head: "REMEDY", fit: flow, text: func(v api.Duty) string { return v.Remedy }},
}...)

var catalogueColumns = []column[api.Catalogue]{
	{key: "name", head: "NAME", text: func(v api.Catalogue) string { return v.Name }},
	{key: "version", head: "VERSION", text: func(v api.Catalogue) string { return v.Version }},
	{key: "in_force", head: "IN FORCE", text: func(v api.Catalogue) string { return yes(v.InForce) }},
	{key: "from", head: "FROM", text: func(v api.Catalogue) string { return stamp(v.From) }, show: func(v api.Catalogue) string { return clock(v.From) }},
	{key: "duties", head: "DUTIES", text: func(v api.Catalogue) string { return fmt.Sprint(v.Duties) }},
	{key: "title", head: "TITLE", fit: flow, text: func(v api.Catalogue) string { return v.Title }},
	{key: "digest", head: "DIGEST", fit: cut, text: func(v api.Catalogue) string { return v.Digest }},
}

// Run lists duties.
func (c *catalogListCmd) Run(ctx context.Context, s *session) error {
	all, err := s.duties(ctx)
	if err != nil {
		return fmt.Errorf("listing duties: %w", err)
	}
	all = slices.DeleteFunc(all, func(d api.Duty) bool {
		return c.Party != "" && d.Party != c.Party || c.Control != "" && d.Control != c.Control
	})
	return printGroups(s, all, dutyColumns, func(d api.Duty) string { return d.Control + "  " + d.Party }, "No duty fits.")
}

// duties returns the duties in force on the server, or, where there is none to
// ask, those of the built-in catalogue, and says so.
func (s *session) duties(ctx context.Context) ([]api.Duty, error) {
	p, err := s.profile()
	if err != nil {
		return nil, err
	}
	if s.namedServer(p) != "" || s.programs.Duties == nil {
		client, err := s.connect()
		if err != nil {
			return nil, err
		}
		all, err := api.Collect(client.Duties(ctx, ""))
		if !errors.Is(err, syscall.ECONNREFUSED) || s.programs.Duties == nil {
			return all, err
		}
	}
	// Not a note: whoever reads JSON must know as well.
	fmt.Fprintln(s.streams.Err, "demarc: no server answers; these are the duties of the built-in catalogue")
	return s.programs.Duties()
}

// Run shows a duty.
func (c *catalogShowCmd) Run(ctx context.Context, s *session) error {
	all, err := s.duties(ctx)
	if err != nil {
		return fmt.Errorf("looking for duty %s: %w", c.Duty, err)
	}
	for _, d := range all {
		if d.ID == c.Duty {
			return printOne(s, d, dutyDetails)
		}
	}
	return &fault{code: ExitFailure, err: fmt.Errorf("the catalogue in force has no duty %s", c.Duty), next: "see `demarc catalog list`"}
}

// Run checks a catalogue, here if this build can, else on the server.
func (c *catalogValidateCmd) Run(ctx context.Context, s *session) error {
	in, err := s.catalogue(c.File)
	if err != nil {
		return err
	}
	validate := s.programs.Validate
	if validate == nil {
		client, err := s.connect()
		if err != nil {
			return err
		}
		validate = client.ValidateCatalogue
	}
	v, err := validate(ctx, in)
	if err != nil {
		return fmt.Errorf("%s is not a valid catalogue: %w", in.File, err)
	}
	return printOne(s, v, catalogueColumns)
}

// Run loads a catalogue.
func (c *catalogLoadCmd) Run(ctx context.Context, s *session) error {
	in, err := s.catalogue(c.File)
	if err != nil {
		return err
	}
	client, err := s.connect()
	if err != nil {
		return err
	}
	v, err := client.LoadCatalogue(ctx, in)
	if err != nil {
		return fmt.Errorf("loading %s: %w", in.File, err)
	}
	return printOne(s, v, catalogueColumns)
}

// catalogue reads a file; only its last name is told to the server.
func (s *session) catalogue(path string) (api.CatalogueSource, error) {
	raw, err := s.readSource(path)
	if err != nil {
		return api.CatalogueSource{}, fmt.Errorf("reading the catalogue: %w", err)
	}
	if len(raw) == 0 {
		return api.CatalogueSource{}, errors.New("the catalogue is empty")
	}
	name := filepath.Base(path)
	if path == "-" {
		name = "standard-input"
	}
	return api.CatalogueSource{File: name, Source: string(raw)}, nil
}

// Run lists catalogues.
func (c *catalogVersionsCmd) Run(ctx context.Context, s *session) error {
	client, err := s.connect()
	if err != nil {
		return err
	}
	all, err := api.Collect(client.Catalogues(ctx))
	if err != nil {
		return fmt.Errorf("listing catalogues: %w", err)
	}
	return printList(s, all, catalogueColumns, "No catalogue is loaded.")
}

// Run prints the source of a catalogue.
func (c *catalogSourceCmd) Run(ctx context.Context, s *session) error {
	client, err := s.connect()
	if err != nil {
		return err
	}
	v, err := client.CatalogueSource(ctx, c.Name, c.Version)
	if err != nil {
		return fmt.Errorf("reading catalogue %s %s: %w", c.Name, c.Version, err)
	}
	return s.deliver(c.Out, false, func(w io.Writer) error {
		_, err := io.WriteString(w, v.Source)
		return err
	})
}
