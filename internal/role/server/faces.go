package server

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/demarc/demarc/internal/console"
	"github.com/demarc/demarc/internal/httpapi"
	"github.com/demarc/demarc/internal/identity"
)

func (s *server) openFaces(context.Context) error {
	s.identities.Site = s.cfg.site(s.http.Addr(), s.https.Addr())
	s.api = httpapi.New(httpapi.Config{
		Store: s.store, Identities: s.identities, Policy: s.policy, Estate: s.estate, Fleet: s.fleet, Contract: s.contract, Consent: s.consent, Posture: s.posture,
		Ledger: s.ledger, Verifier: s.verifier, Witnesses: s.witnesses, Ingest: s.ingest, Events: s.broker, Services: s.services, Keys: s.keys,
		AgentServer: s.agentServer(), ProviderNetworks: s.networks.provider, Version: s.cfg.Version, Now: s.cfg.Now, Log: s.cfg.Log.With("part", "api"),
		Grants: s.grants, Granted: s.grants.Granted,
		Gateway: s.gateway, Recorder: s.recorder, SSH: s.sshAuthority, GatewayAddress: s.gatewayAddress(), ProxyURL: s.proxyURL(),
		Reviews: s.over.reviews, Incidents: s.over.incidents, Privileges: s.over.privileges, Activity: s.over.activity, Feed: s.over.feed, Auditor: s.over.auditor,
	})
	mux := http.NewServeMux()
	mux.Handle("/v1/", s.api.Handler())
	mux.Handle("/openapi.json", s.api.Handler())
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, r *http.Request) {
		if err := s.store.Ping(r.Context()); err != nil {
			http.Error(w, "state store unavailable", http.StatusServiceUnavailable)
			return
		}
		if n := len(s.ingest.Status().Faults); n > 0 {
			http.Error(w, "records wait for a store; 'demarc status' names it", http.StatusServiceUnavailable)
			return
		}
		fmt.Fprintln(w, "ok")
	})
	// The session cookie is kept to TLS where there is TLS.
	for _, face := range []struct {
		secure bool
		to     *http.Handler
	}{{false, &s.handler}, {true, &s.secureHandler}} {
		pages, err := console.New(console.Config{
			API: s.api.Handler(), SignIn: s.signIn, SignOut: s.identities.SignOut, Secure: face.secure, Now: s.cfg.Now, Log: s.cfg.Log.With("part", "console"),
		})
		if err != nil {
			return err
		}
		all := http.NewServeMux()
		all.Handle("/v1/", mux)
		all.Handle("/openapi.json", mux)
		all.Handle("/healthz", mux)
		all.Handle("/", pages)
		*face.to = s.api.RotateSessions(all)
	}
	return nil
}

// signIn opens a console session, and tells a wrong token from a server that
// cannot say.
func (s *server) signIn(ctx context.Context, token string) (string, error) {
	id, err := s.identities.SignIn(ctx, token)
	if errors.Is(err, identity.ErrUnauthenticated) {
		return "", console.ErrRefused
	}
	return id, err
}
