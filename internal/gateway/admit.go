package gateway

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/demarc/demarc/internal/access"
	"github.com/demarc/demarc/internal/ledger"
	"github.com/demarc/demarc/internal/sshca"
	"github.com/demarc/demarc/internal/store"
)

// admission is what somebody was let in for.
type admission struct {
	grant  Grant
	who    access.Principal
	target store.Target
}

// refusal is an error with words for the user.
type refusal struct{ words string }

func (r *refusal) Error() string { return r.words }

func refuse(format string, args ...any) error { return &refusal{fmt.Sprintf(format, args...)} }

// wordsOf are an error's words for the user; those of faults are kept for the log.
func wordsOf(err error) string {
	if r, ok := errors.AsType[*refusal](err); ok {
		return r.words
	}
	return "the gateway failed; its log has the reason"
}

// admit decides within tx whether the person may use the grant on the target now.
func (g *Gateway) admit(tx *store.Tx, grantID, principal, target string) (a admission, err error) {
	if a.grant, err = g.Grants.Active(tx, grantID, g.Now()); err != nil {
		if errors.Is(err, store.ErrNotFound) || errors.Is(err, store.ErrConflict) {
			return a, refuse("grant %s is not in force; ask for access anew", grantID)
		}
		return a, err
	}
	if a.grant.Holder != principal {
		return a, refuse("grant %s is another person's", grantID)
	}
	if a.who, err = g.People.Standing(tx, principal); errors.Is(err, store.ErrNotFound) {
		return a, refuse("you are no longer one of the provider's people, or have no second factor")
	} else if err != nil {
		return a, err
	}
	a.target, err = tx.Target(target)
	switch {
	case errors.Is(err, store.ErrNotFound), err == nil && (a.target.RemovedAt != nil || !a.grant.reaches(a.target)):
		return a, refuse("grant %s does not reach %q", grantID, clip(target))
	case err != nil:
		return a, err
	}
	return a, nil
}

// serverConfig lets in certificates of the authority only.
func (g *Gateway) serverConfig(ctx context.Context) *ssh.ServerConfig {
	conf := &ssh.ServerConfig{
		Config:        ssh.Config{Ciphers: ciphers},
		ServerVersion: "SSH-2.0-demarc",
		MaxAuthTries:  6,
		PublicKeyCallback: func(m ssh.ConnMetadata, key ssh.PublicKey) (*ssh.Permissions, error) {
			return g.certificate(m.User(), m.RemoteAddr(), key)
		},
		VerifiedPublicKeyCallback: func(m ssh.ConnMetadata, _ ssh.PublicKey, p *ssh.Permissions, _ string) (*ssh.Permissions, error) {
			return p, g.verified(ctx, m, p)
		},
	}
	conf.AddHostKey(g.Authority.Gateway())
	return conf
}

// certificate checks a certificate by itself.
func (g *Gateway) certificate(user string, from net.Addr, key ssh.PublicKey) (*ssh.Permissions, error) {
	cert, ok := key.(*ssh.Certificate)
	if !ok {
		return nil, banner("demarc takes certificates only: `demarc access ssh GRANT TARGET` makes one")
	}
	authority := g.Authority.Holders().Marshal()
	checker := ssh.CertChecker{
		IsUserAuthority:          func(k ssh.PublicKey) bool { return string(k.Marshal()) == string(authority) },
		SupportedCriticalOptions: []string{sshca.GrantOption, sshca.PrincipalOption},
		Clock:                    g.Now,
	}
	if cert.CertType != ssh.UserCert || !checker.IsUserAuthority(cert.SignatureKey) {
		return nil, banner("this certificate is not of this installation")
	}
	if err := checker.CheckCert(user, cert); err != nil {
		g.Log.Info("certificate refused", "from", from, "certificate", clip(cert.KeyId), "error", err)
		if before := cert.ValidBefore; before != ssh.CertTimeInfinity && g.Now().Unix() >= int64(before) {
			return nil, banner("your certificate has expired; make another with `demarc access ssh`")
		}
		return nil, banner(fmt.Sprintf("your certificate is not good for %q here", clip(user)))
	}
	if cert.CriticalOptions[sshca.GrantOption] == "" || cert.CriticalOptions[sshca.PrincipalOption] == "" {
		return nil, banner("this certificate names no grant")
	}
	return &ssh.Permissions{CriticalOptions: cert.CriticalOptions, Extensions: cert.Extensions}, nil
}

// verified checks the grant, once it is sure that the caller has the key.
func (g *Gateway) verified(ctx context.Context, m ssh.ConnMetadata, p *ssh.Permissions) error {
	ctx, cancel := context.WithTimeout(ctx, handshake)
	defer cancel()
	var a admission
	err := g.Store.Read(ctx, func(tx *store.Tx) (err error) {
		a, err = g.admit(tx, p.CriticalOptions[sshca.GrantOption], p.CriticalOptions[sshca.PrincipalOption], m.User())
		return err
	})
	if err == nil {
		return nil
	}
	g.Log.Info("refused", "grant", clip(p.CriticalOptions[sshca.GrantOption]), "from", m.RemoteAddr(), "error", err)
	if a.grant.Tenant != "" && a.who.ID != "" {
		g.record(ctx, ledger.Entry{Tenant: a.grant.Tenant, Actor: a.who.Actor(), Action: "session.refuse.target", Subject: "grant/" + a.grant.ID})
	}
	return banner(wordsOf(err))
}

// banner refuses with words that SSH clients show.
func banner(words string) error {
	return &ssh.BannerError{Err: errors.New(words), Message: "demarc: " + words + "\r\n"}
}

// serve lets in one connection and serves it until it ends.
func (g *Gateway) serve(ctx context.Context, raw net.Conn, conf *ssh.ServerConfig) {
	defer raw.Close()
	raw.SetDeadline(time.Now().Add(handshake))
	sconn, channels, requests, err := ssh.NewServerConn(raw, conf)
	g.arrived()
	if err != nil {
		g.Log.Debug("not let in", "from", raw.RemoteAddr(), "error", err)
		return
	}
	raw.SetDeadline(time.Time{})
	defer sconn.Close()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	p := sconn.Permissions.CriticalOptions
	c := &conn{g: g, ssh: sconn, raw: raw, cancel: cancel}
	g.enter(c) // before the grant is asked for again, so that its end cannot fall between
	defer g.leave(c)
	err = g.Store.Read(ctx, func(tx *store.Tx) (err error) {
		a, err := g.admit(tx, p[sshca.GrantOption], p[sshca.PrincipalOption], sconn.User())
		c.setAdmission(a)
		return err
	})
	if err != nil {
		return
	}
	c.serve(ctx, channels, requests)
}

func clip(s string) string {
	if len(s) > 80 {
		return s[:77] + "..."
	}
	return s
}
