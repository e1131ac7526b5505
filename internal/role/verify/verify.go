// Package verify holds what the command line does without a server: verifying
// bundles of the ledger, checking catalogue files, and running a witness.
package verify

import (
	"context"
	"errors"
	"io"

	"github.com/demarc/demarc/api"
	"github.com/demarc/demarc/internal/cli"
	"github.com/demarc/demarc/internal/httpapi"
	"github.com/demarc/demarc/internal/judgement"
	"github.com/demarc/demarc/internal/ledger/bundle"
	"github.com/demarc/demarc/internal/responsibility"
	"github.com/demarc/demarc/internal/responsibility/builtin"
	"github.com/demarc/demarc/internal/role/server"
)

// Bundle verifies a bundle against what the caller trusts.
func Bundle(_ context.Context, r io.Reader, trust cli.Trust) (cli.Verification, error) {
	rep, err := bundle.Verify(r, bundle.Options{Keys: trust.Keys, Witnesses: trust.Witnesses, Threshold: len(trust.Witnesses)})
	if err != nil {
		return cli.Verification{}, err
	}
	v := cli.Verification{
		Origin: rep.Origin, Tenant: rep.Tenant, TreeSize: rep.Size, Entries: int64(len(rep.Entries)), Keys: rep.Keys,
		Trusted: len(trust.Keys) > 0, Proven: rep.Proven, NotProven: rep.NotProven,
	}
	if n := len(rep.Entries); n > 0 {
		v.First, v.Last = rep.Entries[0].Time, rep.Entries[n-1].Time
	}
	for _, w := range rep.Witnesses {
		v.Witnesses = append(v.Witnesses, w.Name)
	}
	return v, nil
}

// Catalogue checks a catalogue file together with the built-in one and the
// fact kinds of this program's services.
func Catalogue(_ context.Context, in api.CatalogueSource) (api.Catalogue, error) {
	cat, err := check(in)
	var refusal *responsibility.Refusal
	if errors.As(err, &refusal) {
		p := &api.Problem{Title: "Unprocessable Entity", Status: 422, Detail: "the catalogue is refused"}
		for _, f := range refusal.Faults {
			msg := f.Reason
			if f.Mend != "" {
				msg += "; " + f.Mend
			}
			p.Errors = append(p.Errors, api.ProblemError{Location: f.At.String(), Message: msg})
		}
		return api.Catalogue{}, p
	}
	if err != nil {
		return api.Catalogue{}, err
	}
	return api.Catalogue{Name: cat.Name, Version: cat.Version, Title: cat.Title, Duties: len(cat.Duties())}, nil
}

func check(in api.CatalogueSource) (*responsibility.Catalogue, error) {
	cat, err := responsibility.Parse(in.File, []byte(in.Source))
	if err != nil {
		return nil, err
	}
	base, err := builtin.Catalogue()
	if err != nil {
		return nil, err
	}
	merged := cat
	if cat.Name != base.Name {
		if merged, err = responsibility.Merge(base, cat); err != nil {
			return nil, err
		}
	}
	_, err = judgement.Compile(merged, server.Kinds())
	return cat, err
}

// Duties returns the duties of the built-in catalogue, as a server that has
// loaded no other shows them.
func Duties() ([]api.Duty, error) {
	base, err := builtin.Catalogue()
	if err != nil {
		return nil, err
	}
	compiled, err := judgement.Compile(base, server.Kinds())
	if err != nil {
		return nil, err
	}
	out := make([]api.Duty, 0, len(compiled.Duties))
	for _, d := range compiled.Duties {
		out = append(out, httpapi.Duty(d))
	}
	return out, nil
}
