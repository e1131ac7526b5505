// Package httpapi is the HTTP API: OpenAPI 3.1 at /openapi.json, problem
// details for errors (RFC 9457), cursors for lists, ETags and idempotency
// keys. Every operation says who may call it when it is registered; there is
// no way to register one that does not.
package httpapi

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/demarc/demarc/internal/activity"
	"github.com/demarc/demarc/internal/authz"
	"github.com/demarc/demarc/internal/consent"
	"github.com/demarc/demarc/internal/contract"
	"github.com/demarc/demarc/internal/estate"
	"github.com/demarc/demarc/internal/events"
	"github.com/demarc/demarc/internal/fleet"
	"github.com/demarc/demarc/internal/gateway"
	"github.com/demarc/demarc/internal/grant"
	"github.com/demarc/demarc/internal/identity"
	"github.com/demarc/demarc/internal/incident"
	"github.com/demarc/demarc/internal/ingest"
	"github.com/demarc/demarc/internal/keyring"
	"github.com/demarc/demarc/internal/ledger"
	"github.com/demarc/demarc/internal/posture"
	"github.com/demarc/demarc/internal/privilege"
	"github.com/demarc/demarc/internal/reach"
	"github.com/demarc/demarc/internal/recording"
	"github.com/demarc/demarc/internal/responsibility"
	"github.com/demarc/demarc/internal/review"
	"github.com/demarc/demarc/internal/service"
	"github.com/demarc/demarc/internal/sessionaudit"
	"github.com/demarc/demarc/internal/sshca"
	"github.com/demarc/demarc/internal/store"
	"github.com/demarc/demarc/internal/tenancy"
)

// MaxBodyBytes bounds the body of a request.
const MaxBodyBytes = 5 << 20

// Config is what the API stands on. All members are required but Granted.
type Config struct {
	Store      *store.Store
	Identities *identity.Identities
	Policy     *authz.Policy
	// Granted tells whether the principal holds a grant for the tenant that is in
	// force now. Optional: without it nobody does. It is asked at every decision.
	Granted  func(principal, tenant string) bool
	Estate   *tenancy.Estate
	Fleet    *fleet.Fleet
	Contract *contract.Contract
	Consent  *consent.Book
	Posture  *posture.Engine
	Ledger   *ledger.Log
	Verifier Verifier
	Grants   *grant.Grants
	// Gateway, Recorder and SSH are those of sessions.
	Gateway  *gateway.Gateway
	Recorder *recording.Recorder
	SSH      *sshca.Authority
	// GatewayAddress is where the gateway listens, ProxyURL where web consoles
	// are reached; empty where they are not.
	GatewayAddress, ProxyURL string
	// Witnesses says how it stands with the ledger's witnesses, and Ingest which
	// stores records wait for.
	Witnesses  interface{ State() []ledger.WitnessState }
	Ingest     interface{ Status() ingest.Status }
	Events     *events.Broker
	Reviews    *review.Reviews
	Incidents  *incident.Incidents
	Privileges *privilege.Privileges
	Activity   *activity.Activity
	Feed       *activity.Feed
	Auditor    *sessionaudit.Auditor
	Services   []service.Service
	Keys       *keyring.Keyring
	// ProviderNetworks are those that the provider's people may come from; none
	// means any. Optional.
	ProviderNetworks reach.Networks
	// AgentServer is the HTTPS address that agents enrol at.
	AgentServer string
	Version     string
	Now         func() time.Time
	Log         *slog.Logger
}

// Verifier knows when the ledger was last verified, and verifies it again.
type Verifier interface {
	Verify(ctx context.Context) error
	Last() (at time.Time, fault string)
}

// API serves requests.
type API struct {
	cfg  Config
	huma huma.API
	mux  *routes
}

// New returns the API with all its operations.
func New(cfg Config) *API {
	a := &API{cfg: cfg, mux: newRoutes()}
	hc := huma.DefaultConfig("demarc", cfg.Version)
	hc.Info.Description = "Runs the shared-responsibility contract between a cloud provider and its customers."
	hc.DocsPath, hc.SchemasPath = "", ""
	hc.CreateHooks = nil // no $schema members in bodies
	hc.RejectUnknownQueryParameters = true
	hc.Components.SecuritySchemes = map[string]*huma.SecurityScheme{
		"token": {Type: "http", Scheme: "bearer", Description: "API token"},
	}
	hc.Security = []map[string][]string{{"token": {}}}
	a.huma = humago.New(a.mux, hc)
	for _, add := range []func(){
		a.addTenants, a.addVMs, a.addContacts, a.addSubscriptions, a.addStatements, a.addPosture, a.addCatalogues,
		a.addAgents, a.addPrincipals, a.addSignIn, a.addJoin, a.addDevices, a.addPeople, a.addAccount, a.addIdentityProviders, a.addLedger, a.addExports, a.addEvents,
		a.addReviews, a.addActivity, a.addSessionAudit,
		a.addDecisions, a.addKeys,
		a.addGrants,
		a.addTargets, a.addSessions,
	} {
		add()
	}
	describe(a.huma.OpenAPI())
	return a
}

// OpenAPI returns the description of the API.
func (a *API) OpenAPI() *huma.OpenAPI { return a.huma.OpenAPI() }

// Handler serves the API: authentication, then idempotency, then the operation.
func (a *API) Handler() http.Handler {
	return a.authenticate(a.idempotent(http.MaxBytesHandler(http.HandlerFunc(a.route), MaxBodyBytes)))
}

// route serves the operation. The multiplexer's own refusals, which are plain
// text, become problem details.
func (a *API) route(w http.ResponseWriter, r *http.Request) {
	if address, err := url.PathUnescape(r.URL.RequestURI()); err != nil || !utf8.ValidString(address) || strings.ContainsRune(address, 0) {
		writeProblem(w, huma.Error422UnprocessableEntity("the address must be UTF-8 without NUL"))
		return
	}
	h, pattern := a.mux.Handler(r)
	if pattern != "" {
		a.mux.ServeHTTP(w, r)
		return
	}
	rec := &recorder{header: http.Header{}, status: http.StatusOK}
	h.ServeHTTP(rec, r)
	switch rec.status {
	case http.StatusMethodNotAllowed:
		w.Header().Set("Allow", rec.header.Get("Allow"))
		writeProblem(w, huma.NewError(rec.status, "this address takes "+rec.header.Get("Allow")+" only"))
	case http.StatusNotFound:
		writeProblem(w, huma.Error404NotFound("there is nothing at this address; /openapi.json lists what there is"))
	default: // a redirection to the clean form of the path
		h.ServeHTTP(w, r)
	}
}

// problem makes an error of a use-case into problem details. Faults that are
// not the caller's are logged and not shown.
func (a *API) problem(ctx context.Context, err error) error {
	if p := a.signInProblem(ctx, err); p != nil {
		return p
	}
	var refusal *responsibility.Refusal
	var status huma.StatusError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &status):
		return err
	case errors.As(err, &refusal):
		details := make([]error, len(refusal.Faults))
		for i, f := range refusal.Faults {
			details[i] = &huma.ErrorDetail{Message: faultText(f), Location: f.At.String()}
		}
		return huma.Error422UnprocessableEntity("the catalogue is refused", details...)
	case signatureProblem(err) != nil:
		return signatureProblem(err)
	case errors.Is(err, estate.ErrInvalid):
		return huma.Error422UnprocessableEntity(words(err, estate.ErrInvalid))
	case errors.Is(err, store.ErrNotFound):
		return huma.Error404NotFound(err.Error())
	case errors.Is(err, store.ErrConflict):
		return huma.Error409Conflict(words(err, store.ErrConflict))
	case errors.Is(err, identity.ErrUnauthenticated):
		return huma.Error401Unauthorized("not signed in")
	case errors.Is(err, store.ErrUnavailable):
		a.cfg.Log.ErrorContext(ctx, "state store unavailable", "error", err, "cause", store.Cause(err))
		return huma.Error503ServiceUnavailable("the state store or the bus cannot be reached or has no room; nothing was changed; try again later")
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return huma.Error503ServiceUnavailable("the request was ended before it was finished; nothing was changed")
	}
	a.cfg.Log.ErrorContext(ctx, "request failed", "error", err)
	return huma.Error500InternalServerError("the server failed; the reason is in its log")
}

// words is what an error says without the name of its class, which the status
// tells.
func words(err, class error) string {
	s := strings.ReplaceAll(err.Error(), class.Error()+": ", "")
	return strings.TrimSuffix(s, ": "+class.Error())
}

func faultText(f responsibility.Fault) string {
	if f.Mend == "" {
		return f.Reason
	}
	return f.Reason + "; " + f.Mend
}
