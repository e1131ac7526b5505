package httpapi

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/demarc/demarc/api"
	"github.com/demarc/demarc/internal/access"
	"github.com/demarc/demarc/internal/fleet"
	"github.com/demarc/demarc/internal/store"
	"github.com/demarc/demarc/internal/wire"
)

func (a *API) addAgents() {
	const tokens = "/v1/tenants/{tenant}/enrolment-tokens"
	tokenOut := func(t store.EnrolmentToken) api.EnrolmentToken {
		return api.EnrolmentToken{
			ID: t.ID, Tenant: t.Tenant, VDC: t.VDC, VMName: t.VMName, Expires: t.Expires, UsedAt: t.UsedAt, Agent: t.Agent, Server: a.cfg.AgentServer,
		}
	}
	add(a, tenant(access.Look), get("list-enrolment-tokens", tokens, "Enrolment tokens, without their secrets"), func(c call, in *struct {
		TenantPath
		PageParams
	}) (*list[api.EnrolmentToken], error) {
		p, err := in.page()
		if err != nil {
			return nil, err
		}
		var ts []store.EnrolmentToken
		err = a.cfg.Store.Read(c, func(tx *store.Tx) (err error) {
			ts, err = tx.EnrolmentTokens(c.tenant.ID, p)
			return err
		})
		return paged(ts, p.Limit, func(t store.EnrolmentToken) string { return t.ID }, tokenOut), err
	})
	add(a, tenant(access.ManageEstate), created(post("create-enrolment-token", tokens, "Make a token that enrols one machine, once")), func(c call, in *struct {
		TenantPath
		Body api.NewEnrolmentToken
	}) (*body[api.EnrolmentToken], error) {
		minutes := in.Body.Minutes
		if minutes == 0 {
			minutes = 60
		}
		t, secret, err := a.cfg.Fleet.CreateToken(c, c.by, c.tenant.ID, in.Body.VDC, in.Body.VMName, time.Duration(minutes)*time.Minute)
		out := tokenOut(t)
		out.Token = secret
		return plain(out, err)
	})
	add(a, tenant(access.Look), get("list-agents", "/v1/tenants/{tenant}/agents", "Agents of a tenant"), func(c call, in *struct {
		TenantPath
		PageParams
	}) (*list[api.Agent], error) {
		p, err := in.page()
		if err != nil {
			return nil, err
		}
		var out []api.Agent
		err = a.cfg.Store.Read(c, func(tx *store.Tx) error {
			as, err := tx.Agents(c.tenant.ID, p)
			if err != nil {
				return err
			}
			out, err = agentsOut(tx, as)
			return err
		})
		return paged(out, p.Limit, func(x api.Agent) string { return x.ID }, func(x api.Agent) api.Agent { return x }), err
	})
	add(a, tenant(access.RevokeAgents), post("revoke-agent", "/v1/tenants/{tenant}/agents/{agent}/revoke", "End an agent's identity for good"), func(c call, in *struct {
		TenantPath
		Agent string `path:"agent" maxLength:"100"`
	}) (*body[api.Agent], error) {
		x, err := a.cfg.Fleet.Revoke(c, c.by, c.tenant.ID, in.Agent)
		if err != nil {
			return nil, err
		}
		var out []api.Agent
		err = a.cfg.Store.Read(c, func(tx *store.Tx) (err error) {
			out, err = agentsOut(tx, []store.Agent{x})
			return err
		})
		if err != nil {
			return nil, err
		}
		return plain(out[0], nil)
	})
	a.addEnrolment()
}

// addEnrolment registers what agents call; they prove who they are by token or
// signature, which the fleet checks.
func (a *API) addEnrolment() {
	agentOp := func(op huma.Operation) huma.Operation {
		op.Metadata = map[string]any{RuleKey: "agent"}
		op.MaxBodyBytes = 64 << 10
		op.Security = []map[string][]string{}
		return op
	}
	huma.Register(a.huma, agentOp(post("enrol", "/v1/enrol", "Enrol a machine with a one-time token")), func(ctx context.Context, in *struct {
		Authorization string `header:"Authorization" maxLength:"400"`
		Body          wire.EnrolRequest
	}) (*body[wire.Identity], error) {
		token, _ := strings.CutPrefix(in.Authorization, "Bearer ")
		id, err := a.cfg.Fleet.Enrol(ctx, token, in.Body)
		return plain(id, a.agentProblem(ctx, err))
	})
	a.addAgentPolicies(agentOp(post("agent-policies", "/v1/agent/policies", "Policies that the customer signed for an agent's machine, with its keys")))
	huma.Register(a.huma, agentOp(post("renew", "/v1/renew", "Renew an agent's identity")), func(ctx context.Context, in *struct{ Body wire.RenewRequest }) (*body[wire.Identity], error) {
		id, err := a.cfg.Fleet.Renew(ctx, in.Body)
		return plain(id, a.agentProblem(ctx, err))
	})
}

// addAgentPolicies registers where agents ask for signed policies. What they are
// given proves itself.
func (a *API) addAgentPolicies(op huma.Operation) {
	huma.Register(a.huma, op, func(ctx context.Context, in *struct{ Body wire.PoliciesRequest }) (*body[wire.Policies], error) {
		p, err := a.cfg.Fleet.Policies(ctx, in.Body)
		return plain(p, a.agentProblem(ctx, err))
	})
}

func (a *API) agentProblem(ctx context.Context, err error) error {
	for _, known := range []struct {
		err    error
		status int
	}{{fleet.ErrToken, http.StatusUnauthorized}, {fleet.ErrSignature, http.StatusUnauthorized}, {fleet.ErrRevoked, http.StatusForbidden}} {
		if errors.Is(err, known.err) {
			return huma.NewError(known.status, known.err.Error())
		}
	}
	return a.problem(ctx, err)
}

func (a *API) addPrincipals() {
	add(a, self, get("whoami", "/v1/whoami", "Who you are, and what you may do"), a.whoami)
	// A customer's administrator keeps the tenant's principals, the provider's
	// administrator all of them.
	add(a, anybody, get("list-principals", "/v1/principals", "Principals of a tenant, or the provider's own"), func(c call, in *struct {
		Tenant string `query:"tenant" maxLength:"100"`
		PageParams
	}) (*list[api.Principal], error) {
		tenant, err := a.visible(c, in.Tenant)
		if err != nil {
			return nil, err
		}
		p, err := in.page()
		if err != nil {
			return nil, err
		}
		ps, err := a.cfg.Identities.List(c, tenant, p)
		return paged(ps, p.Limit, func(x store.Credential) string { return x.ID }, principalOut), err
	})
	add(a, anybody, created(post("create-principal", "/v1/principals", "Add a principal with a token, shown once")), a.createPrincipal)
	add(a, anybody, post("revoke-principal", "/v1/principals/{principal}/revoke", "End a principal, its token and sessions"), a.revokePrincipal)
}
