package httpapi

import (
	"errors"
	"net/http"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"github.com/demarc/demarc/api"
	"github.com/demarc/demarc/internal/access"
	"github.com/demarc/demarc/internal/canonical"
	"github.com/demarc/demarc/internal/consent"
	"github.com/demarc/demarc/internal/decision"
	"github.com/demarc/demarc/internal/estate"
	"github.com/demarc/demarc/internal/service"
	"github.com/demarc/demarc/internal/store"
)

// DecisionPath names a decision of a tenant.
type DecisionPath struct {
	TenantPath
	Decision string `path:"decision" doc:"id of the decision" maxLength:"100"`
}

// proposed marks an operation whose effect waits for a signature.
func proposed(op huma.Operation) huma.Operation {
	op.DefaultStatus = http.StatusAccepted
	return op
}

// signatureProblem is the answer to a decision or signature that does not count;
// nil if err is another.
func signatureProblem(err error) error {
	switch {
	case errors.Is(err, consent.ErrForbidden):
		return huma.Error403Forbidden(words(err, consent.ErrForbidden))
	case errors.Is(err, estate.ErrInvalid), decision.Reason(err) == "":
		return nil
	case errors.Is(err, decision.ErrExpired), errors.Is(err, decision.ErrRolledBack), errors.Is(err, decision.ErrReplayed), errors.Is(err, decision.ErrUnsigned):
		return huma.Error409Conflict(err.Error())
	}
	return huma.Error422UnprocessableEntity(err.Error())
}

func (a *API) addDecisions() {
	add(a, tenant(access.Look), get("list-decisions", "/v1/tenants/{tenant}/decisions", "Decisions of the customer, past ones too"), a.listDecisions)
	add(a, tenant(access.Look), get("get-decision", "/v1/tenants/{tenant}/decisions/{decision}", "One decision, with the bytes that are signed"), func(c call, in *DecisionPath) (*body[api.Decision], error) {
		return a.answerDecision(c, in.Decision)
	})
	add(a, tenant(access.SignDecision), post("sign-decision", "/v1/tenants/{tenant}/decisions/{decision}/signatures", "Give a decision a signature; the last one that is needed puts it into force"), func(c call, in *struct {
		DecisionPath
		Body api.NewSignature
	}) (*body[api.Decision], error) {
		if err := a.ofTenant(c, in.Decision); err != nil {
			return nil, err
		}
		if _, err := a.cfg.Consent.Sign(c, c.by, in.Decision, decision.Signature(in.Body)); err != nil {
			return nil, err
		}
		return a.answerDecision(c, in.Decision)
	})
	add(a, tenant(access.SignDecision), post("withdraw-decision", "/v1/tenants/{tenant}/decisions/{decision}/withdraw", "End a pending decision without a signature"), func(c call, in *DecisionPath) (*body[api.Decision], error) {
		if _, err := a.cfg.Consent.Withdraw(c, c.by, c.tenant.ID, in.Decision); err != nil {
			return nil, err
		}
		return a.answerDecision(c, in.Decision)
	})
}

// ofTenant refuses a decision that is not of the call's tenant.
func (a *API) ofTenant(c call, id string) error {
	return a.cfg.Store.Read(c, func(tx *store.Tx) error {
		_, _, err := a.cfg.Consent.Open(tx, c.tenant.ID, id)
		return err
	})
}

func (a *API) listDecisions(c call, in *struct {
	TenantPath
	State string `query:"state" enum:"pending,signed,withdrawn,expired" doc:"only those in this state"`
	PageParams
}) (*list[api.Decision], error) {
	p, err := in.page()
	if err != nil {
		return nil, err
	}
	var out *list[api.Decision]
	err = a.cfg.Store.Read(c, func(tx *store.Tx) error {
		ds, err := tx.Decisions(c.tenant.ID, store.DecisionState(in.State), p)
		if err != nil {
			return err
		}
		items := make([]api.Decision, 0, len(ds))
		for _, d := range ds {
			x, err := a.decisionOut(tx, d)
			if err != nil {
				return err
			}
			items = append(items, x)
		}
		out = paged(items, p.Limit, func(d api.Decision) string { return d.ID }, func(d api.Decision) api.Decision { return d })
		return nil
	})
	return out, err
}

func (a *API) answerDecision(c call, id string) (*body[api.Decision], error) {
	var out api.Decision
	err := a.cfg.Store.Read(c, func(tx *store.Tx) error {
		d, _, err := a.cfg.Consent.Open(tx, c.tenant.ID, id)
		if err != nil {
			return err
		}
		out, err = a.decisionOut(tx, d)
		return err
	})
	return plain(out, err)
}

func (a *API) decisionOut(tx *store.Tx, d store.Decision) (api.Decision, error) {
	out := api.Decision{
		ID: d.ID, Kind: string(d.Kind), Tenant: d.Tenant, Subject: d.Subject, Version: d.Version, State: string(d.State),
		IssuedAt: d.IssuedAt, ExpiresAt: d.ExpiresAt, ProposedBy: d.ProposedBy, DecidedAt: d.DecidedAt, Content: d.Content,
		Canonical: []byte(d.Body), Digest: d.Digest, Needs: 1, Acts: a.cfg.Consent.Acts(d.Kind), Signatures: []api.DecisionSignature{},
	}
	// What is overdue counts as expired, before the timer has said so.
	if d.State == store.DecisionPending && !a.cfg.Now().Before(d.ExpiresAt) {
		out.State = string(store.DecisionExpired)
	}
	given, err := tx.Signatures(d.ID)
	for _, g := range given {
		out.Signatures = append(out.Signatures, api.DecisionSignature{Key: g.Key, Algorithm: g.Algorithm, By: g.By, At: g.At})
	}
	if err != nil {
		return out, err
	}
	if id, ok := strings.CutPrefix(d.Subject, "vm/"); ok {
		if v, err := tx.VMByID(id); err == nil {
			out.SubjectName = v.Name
		}
	}
	if id, ok := strings.CutPrefix(d.Subject, "tenant/"); ok {
		if t, err := tx.Tenant(id); err == nil {
			out.SubjectName = t.Name
		}
	}
	switch set, err := tx.KeySet(d.Tenant); {
	case err == nil:
		out.Needs = set.Needs(d.Kind)
	case !errors.Is(err, store.ErrNotFound):
		return out, err
	}
	return out, nil
}

// propose stores a decision and answers with it.
func (a *API) propose(c call, make func(tx *store.Tx) (decision.Decision, error)) (*body[api.Decision], error) {
	var out api.Decision
	err := a.cfg.Store.Write(c, func(tx *store.Tx) error {
		d, err := make(tx)
		if err != nil {
			return err
		}
		if d, err = a.cfg.Consent.Propose(tx, c.by, d); err != nil {
			return err
		}
		row, err := tx.DecisionByID(d.ID)
		if err != nil {
			return err
		}
		out, err = a.decisionOut(tx, row)
		return err
	})
	return plain(out, err)
}

func (a *API) setPolicy(c call, in *struct {
	TenantPath
	Service string `path:"service" maxLength:"100"`
	Body    api.NewPolicy
}) (*body[api.Decision], error) {
	var svc service.Service
	for _, s := range a.cfg.Services {
		if s.Manifest().Name == in.Service {
			svc = s
		}
	}
	checker, ok := svc.(service.PolicyChecker)
	if !ok {
		return nil, huma.Error404NotFound("no service " + clip(in.Service) + " has a policy")
	}
	doc, err := canonical.Bytes(in.Body.Document)
	if err != nil {
		return nil, huma.Error422UnprocessableEntity("the policy is not well-formed JSON: " + err.Error())
	}
	if err := checker.CheckPolicy(doc); err != nil {
		return nil, huma.Error422UnprocessableEntity(err.Error())
	}
	if in.Body.Until != nil && !in.Body.Until.After(a.cfg.Now()) {
		return nil, huma.Error422UnprocessableEntity("the policy would end before it begins: until must lie in the future")
	}
	content, err := decision.Encode(decision.PolicyContent{Service: in.Service, Document: doc, Until: in.Body.Until})
	if err != nil {
		return nil, err
	}
	return a.propose(c, func(tx *store.Tx) (decision.Decision, error) {
		s, err := a.cfg.Estate.PolicySubject(tx, c.tenant.ID, in.Body.VM)
		if err != nil {
			return decision.Decision{}, err
		}
		version, err := tx.NextPolicy(s, in.Service)
		return decision.Decision{
			Kind: decision.AgentPolicy, Tenant: c.tenant.ID, Subject: string(s.Scope) + "/" + s.ID, Version: version, Content: content,
		}, err
	})
}

func (a *API) proposeWaiver(c call, n api.NewStatement) (*body[api.Decision], error) {
	if len(n.Attachments) > 0 {
		return nil, huma.Error422UnprocessableEntity("a waiver has no attachments; say in its text what it rests on")
	}
	claim, err := a.claim(c, n)
	if err != nil {
		return nil, err
	}
	if err := a.cfg.Estate.CheckWaiver(a.cfg.Contract, &claim); err != nil {
		return nil, err
	}
	content, err := decision.Encode(decision.WaiverContent{
		Duty: claim.Duty, Scope: string(claim.Subject.Scope), SubjectID: claim.Subject.ID, Reason: claim.Text,
		Effective: claim.Effective, Expires: claim.Expires,
	})
	if err != nil {
		return nil, err
	}
	d := decision.Decision{Kind: decision.WaiverKind, Tenant: c.tenant.ID, Subject: string(claim.Subject.Scope) + "/" + claim.Subject.ID, Content: content}
	if open := a.cfg.Now().Add(consent.OpenFor); claim.Expires.Before(open) {
		d.ExpiresAt = claim.Expires // a signature after its end would accept nothing
	}
	return a.propose(c, func(*store.Tx) (decision.Decision, error) { return d, nil })
}
