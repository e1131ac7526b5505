package api

import (
	"context"
	"io"
	"iter"
	"net/http"
	"strconv"
)

// Principals lists those who may use the API, without their tokens: a tenant's,
// or if tenant is empty the caller's own side's.
func (c *Client) Principals(ctx context.Context, tenant string) iter.Seq2[Principal, error] {
	return list[Principal](ctx, c, params("tenant", tenant), "v1", "principals")
}

// CreatePrincipal makes a principal with a token, which the answer shows once.
func (c *Client) CreatePrincipal(ctx context.Context, in NewPrincipal) (Principal, error) {
	return post[Principal](ctx, c, in, "v1", "principals")
}

// RevokePrincipal ends a principal's token for good.
func (c *Client) RevokePrincipal(ctx context.Context, id string) (Principal, error) {
	return post[Principal](ctx, c, nil, "v1", "principals", id, "revoke")
}

// LedgerFilter narrows a list of entries; an empty member admits all. Since
// and Until are RFC 3339 times.
type LedgerFilter struct {
	Tenant, Action, Subject, Since, Until string
}

// LedgerEntries lists entries, newest first.
func (c *Client) LedgerEntries(ctx context.Context, f LedgerFilter) iter.Seq2[LedgerEntry, error] {
	return list[LedgerEntry](ctx, c, params("tenant", f.Tenant, "action", f.Action, "subject", f.Subject,
		"since", f.Since, "until", f.Until), "v1", "ledger", "entries")
}

// LedgerEntry reads the entry at an index, counted from 0.
func (c *Client) LedgerEntry(ctx context.Context, index int64) (LedgerEntry, error) {
	return get[LedgerEntry](ctx, c, nil, "v1", "ledger", "entries", strconv.FormatInt(index, 10))
}

// LedgerState says how the ledger stands.
func (c *Client) LedgerState(ctx context.Context) (LedgerState, error) {
	return get[LedgerState](ctx, c, nil, "v1", "ledger")
}

// VerifyLedger has the server read its whole ledger again, however long that
// takes. A fault is in the state, not in the error.
func (c *Client) VerifyLedger(ctx context.Context) (LedgerState, error) {
	var out LedgerState
	err := c.do(ctx, call{
		method: http.MethodPost, segments: []string{"v1", "ledger", "verify"}, patient: true,
	}, &out)
	return out, err
}

// RotateLedgerKey has the ledger signed with a new key from now on.
func (c *Client) RotateLedgerKey(ctx context.Context) (LedgerState, error) {
	return post[LedgerState](ctx, c, nil, "v1", "ledger", "rotate")
}

// LedgerBundle writes the bundle that is verified without the server: of a
// tenant's entries, or of all if tenant is empty.
func (c *Client) LedgerBundle(ctx context.Context, w io.Writer, tenant string) error {
	return download(ctx, c, w, params("tenant", tenant), "v1", "ledger", "bundle")
}
