package httpapi

import (
	"bytes"
	"context"
	"errors"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/demarc/demarc/api"
	"github.com/demarc/demarc/internal/access"
	"github.com/demarc/demarc/internal/acts"
	"github.com/demarc/demarc/internal/authz"
	"github.com/demarc/demarc/internal/ledger"
)

// raw is a response that is no JSON of ours.
type raw struct {
	ContentType string `header:"Content-Type"`
	Disposition string `header:"Content-Disposition"`
	Body        []byte
}

func (a *API) addLedger() {
	add(a, anybody, get("get-ledger", "/v1/ledger", "How the ledger stands"), func(c call, _ *struct{}) (*body[api.LedgerState], error) {
		s, err := a.ledgerState(c)
		return plain(s, err)
	})
	add(a, provider(access.VerifyLedger), post("verify-ledger", "/v1/ledger/verify", "Verify the whole ledger now"), func(c call, _ *struct{}) (*body[api.LedgerState], error) {
		if err := a.cfg.Verifier.Verify(c); err != nil && !errors.Is(err, ledger.ErrCorrupt) {
			return nil, err
		}
		s, err := a.ledgerState(c)
		return plain(s, err)
	})
	add(a, provider(access.RotateLedgerKey), post("rotate-ledger-key", "/v1/ledger/rotate", "Sign with a new key from now on"), func(c call, _ *struct{}) (*body[api.LedgerState], error) {
		if _, err := a.cfg.Ledger.Rotate(c, c.by.Actor()); err != nil {
			return nil, err
		}
		s, err := a.ledgerState(c)
		return plain(s, err)
	})
	add(a, anybody, get("list-ledger-entries", "/v1/ledger/entries", "Entries that you may see, newest first"), a.listEntries)
	add(a, anybody, get("get-ledger-entry", "/v1/ledger/entries/{index}", "One entry"), func(c call, in *struct {
		Index int64 `path:"index" minimum:"0"`
	}) (*body[api.LedgerEntry], error) {
		unknown := huma.Error404NotFound("there is no such entry that you may see")
		l, err := a.cfg.Ledger.Line(c, in.Index)
		if errors.Is(err, ledger.ErrRange) {
			return nil, unknown
		}
		if err == nil && !a.permits(c.by, access.Look, authz.Resource{Tenant: l.Tenant}) {
			return nil, unknown
		}
		return plain(entryOut(l), err)
	})
	add(a, anybody, get("get-ledger-bundle", "/v1/ledger/bundle", "A tenant's entries with their proofs, to verify offline"), a.getBundle)
	add(a, anybody, get("get-ledger-resource", "/v1/ledger/tiles", "Tiles and checkpoint as in C2SP tlog-tiles; they hold commitments only"), func(c call, in *struct {
		Path string `query:"path" required:"true" doc:"checkpoint, tile/<L>/<N>[.p/<W>] or tile/entries/<N>[.p/<W>]" maxLength:"200"`
	}) (*raw, error) {
		data, err := a.cfg.Ledger.Resource(c, in.Path)
		if errors.Is(err, ledger.ErrNoResource) {
			return nil, huma.Error404NotFound("the ledger has no " + clip(in.Path))
		}
		return &raw{ContentType: "application/octet-stream", Body: data}, err
	})
}

func (a *API) ledgerState(ctx context.Context) (api.LedgerState, error) {
	size, err := a.cfg.Ledger.Size(ctx)
	if err != nil {
		return api.LedgerState{}, err
	}
	keys, err := a.cfg.Ledger.Keys(ctx)
	if err != nil {
		return api.LedgerState{}, err
	}
	out := api.LedgerState{Entries: size, Keys: []string{}}
	for _, k := range keys {
		out.Keys = append(out.Keys, k.VKey)
	}
	if cp, err := a.cfg.Ledger.PublishedCheckpoint(ctx); err == nil {
		out.Checkpoint = string(cp)
	}
	out.VerifiedAt, out.Fault = a.cfg.Verifier.Last()
	out.Witnesses = []api.Witness{}
	for _, w := range a.cfg.Witnesses.State() {
		out.Witnesses = append(out.Witnesses, api.Witness(w))
		if w.Contradicted && out.Fault == "" {
			out.Fault = "witness " + w.Name + " has seen another ledger of this name"
		}
	}
	return out, nil
}

func entryOut(l ledger.Line) api.LedgerEntry {
	meaning, _ := acts.Of(l.Action)
	return api.LedgerEntry{
		Index: l.Index, Time: l.Time, Tenant: l.Tenant, Actor: l.Actor, Action: l.Action, Subject: l.Subject, Digests: l.Digests, Words: meaning.Words,
	}
}

// EntryQuery selects ledger entries.
type EntryQuery struct {
	Tenant  string    `query:"tenant" doc:"id or name; all that you may see if missing" maxLength:"100"`
	Action  string    `query:"action" maxLength:"100"`
	Subject string    `query:"subject" maxLength:"300"`
	Since   time.Time `query:"since"`
	Until   time.Time `query:"until"`
	Cursor  string    `query:"cursor" maxLength:"100"`
	Limit   int       `query:"limit" minimum:"1" maximum:"1000" default:"100"`
}

func (a *API) listEntries(c call, in *EntryQuery) (*list[api.LedgerEntry], error) {
	tenant, err := a.visible(c, in.Tenant)
	if err != nil {
		return nil, err
	}
	f := ledger.Filter{Action: in.Action, Subject: in.Subject, From: in.Since, To: in.Until, Cursor: in.Cursor, Limit: in.Limit}
	if tenant != "" {
		f.Tenant = &tenant
	}
	page, err := a.cfg.Ledger.Search(c, f)
	if errors.Is(err, ledger.ErrCursor) {
		return nil, huma.Error422UnprocessableEntity("the cursor is not one that this list gave")
	}
	out := paged(page.Lines, 0, nil, entryOut)
	out.Body.Next = page.Next
	return out, err
}

func (a *API) getBundle(c call, in *struct {
	Tenant string `query:"tenant" doc:"id or name; for the provider, all entries if missing" maxLength:"100"`
}) (*raw, error) {
	tenant, err := a.visible(c, in.Tenant)
	if err != nil {
		return nil, err
	}
	// What was done a moment ago belongs into the bundle too.
	if _, err := a.cfg.Ledger.Checkpoint(c); err != nil {
		return nil, err
	}
	var buf bytes.Buffer
	err = a.cfg.Ledger.Bundle(c, &buf, ledger.BundleOptions{Tenant: tenant, All: tenant == ""})
	if errors.Is(err, ledger.ErrRange) {
		return nil, huma.Error404NotFound("there are no entries under a signed checkpoint yet; one is signed every second")
	}
	return attachment("application/octet-stream", "ledger.bundle", buf.Bytes()), err
}
