package httpapi

import (
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"golang.org/x/crypto/ssh"

	"github.com/demarc/demarc/api"
	"github.com/demarc/demarc/internal/access"
	"github.com/demarc/demarc/internal/authz"
	"github.com/demarc/demarc/internal/gateway"
	"github.com/demarc/demarc/internal/sshca"
	"github.com/demarc/demarc/internal/store"
)

func (a *API) addTargets() {
	add(a, provider(access.Look), get("list-targets", "/v1/targets", "What sessions of the provider's people can reach"), func(c call, in *struct{ PageParams }) (*list[api.Target], error) {
		p, err := in.page()
		if err != nil {
			return nil, err
		}
		var ts []store.Target
		err = a.cfg.Store.Read(c, func(tx *store.Tx) (err error) {
			ts, err = tx.Targets(p)
			return err
		})
		return paged(ts, p.Limit, func(t store.Target) string { return t.ID }, targetOut), err
	})
	add(a, provider(access.Look), get("get-gateway-keys", "/v1/targets/ca", "What targets and users need to know of the gateway"), func(call, *struct{}) (*body[api.GatewayKeys], error) {
		return plain(a.gatewayKeys(), nil)
	})
	add(a, provider(access.ManageTargets), created(post("create-target", "/v1/targets", "Register a target, with the keys that it is known by; a customer's guest can be none")), func(c call, in *struct{ Body api.NewTarget }) (*body[api.Target], error) {
		n := in.Body
		t, err := a.cfg.Gateway.AddTarget(c, c.by, store.Target{
			Name: n.Name, Kind: n.Kind, Address: n.Address, Login: n.User,
			Trust: store.Trust{HostKeys: n.HostKeys, HostCA: n.HostCA, CA: n.CA, Pin: n.Pin},
		})
		return plain(targetOut(t), err)
	})
	add(a, provider(access.ManageTargets), huma.Operation{
		OperationID: "delete-target", Method: http.MethodDelete, Path: "/v1/targets/{target}", Summary: "Take a target out of reach; what is open to it is closed", DefaultStatus: http.StatusNoContent,
	}, func(c call, in *struct {
		Target string `path:"target" maxLength:"100"`
	}) (*struct{}, error) {
		_, err := a.cfg.Gateway.RemoveTarget(c, c.by, in.Target)
		return nil, err
	})
	a.addGrantUse()
}

// addGrantUse adds what the holder of a grant opens sessions with.
func (a *API) addGrantUse() {
	add(a, provider(access.Look), created(post("certify", "/v1/grants/{grant}/certificate", "Certify a key of the grant's holder, for the gateway and as long as the grant is in force")), func(c call, in *struct {
		Grant string `path:"grant" maxLength:"100"`
		Body  api.NewCertificate
	}) (*body[api.Certificate], error) {
		if err := a.usesGrant(c, in.Grant); err != nil {
			return nil, err
		}
		cert, err := a.cfg.Gateway.Certify(c, c.by, in.Grant, in.Body.PublicKey)
		if err != nil {
			return nil, err
		}
		return plain(api.Certificate{
			Certificate: sshca.Line(cert, in.Grant), Targets: cert.ValidPrincipals, Expires: time.Unix(int64(cert.ValidBefore), 0).UTC(), Gateway: a.gatewayKeys(),
		}, nil)
	})
	add(a, provider(access.Look), created(post("open-console", "/v1/grants/{grant}/console", "Make a ticket that opens a web console, once")), func(c call, in *struct {
		Grant string `path:"grant" maxLength:"100"`
		Body  api.NewConsole
	}) (*body[api.ConsoleTicket], error) {
		if err := a.usesGrant(c, in.Grant); err != nil {
			return nil, err
		}
		t, err := a.cfg.Gateway.Ticket(c, c.by, in.Grant, in.Body.Target)
		return plain(api.ConsoleTicket(t), err)
	})
}

// usesGrant refuses a grant that is not the caller's, or not in force. Another
// person's is not found.
func (a *API) usesGrant(c call, id string) error {
	var g gateway.Grant
	err := a.cfg.Store.Read(c, func(tx *store.Tx) (err error) {
		g, err = a.cfg.Gateway.Held(tx, c.by, id)
		return err
	})
	if err != nil {
		return err
	}
	if !a.permits(c.by, access.UseAccess, authz.Resource{Tenant: g.Tenant}) {
		return huma.Error403Forbidden("your role " + string(c.by.Role) + " may not use this grant")
	}
	return nil
}

func (a *API) gatewayKeys() api.GatewayKeys {
	own := a.cfg.SSH.Gateway().PublicKey()
	return api.GatewayKeys{
		TrustedUserCA: sshca.Line(a.cfg.SSH.Targets(), "demarc"), HostKey: sshca.Line(own, "demarc-gateway"), Fingerprint: ssh.FingerprintSHA256(own),
		Address: a.cfg.GatewayAddress, Proxy: a.cfg.ProxyURL,
	}
}

func targetOut(t store.Target) api.Target {
	out := api.Target{
		ID: t.ID, Name: t.Name, Kind: t.Kind, Address: t.Address, User: t.Login, HostKeys: t.Trust.HostKeys, HostCA: t.Trust.HostCA,
		CA: t.Trust.CA, Pin: t.Trust.Pin, CreatedAt: t.CreatedAt,
	}
	for _, line := range t.Trust.HostKeys {
		if k, err := gateway.ParseKey(line); err == nil {
			out.Fingerprints = append(out.Fingerprints, ssh.FingerprintSHA256(k))
		}
	}
	return out
}
