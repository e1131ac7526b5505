package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/pquerna/otp/totp"

	"github.com/demarc/demarc/api"
)

type joinCmd struct {
	Link          string `arg:"" help:"Link of the invitation; - reads it from standard input."`
	Login         string `help:"Sign-in name; your mail address if left out." placeholder:"NAME"`
	PasswordStdin bool   `help:"Read the password from standard input."`
	CA            string `name:"ca" help:"PEM file of the certificate authority that the server is trusted by, instead of the machine's." placeholder:"FILE" type:"existingfile"`
}

// Help is shown below the flags.
func (joinCmd) Help() string {
	return `Joins with a password and an authenticator app. A passkey, which is easier and safer, is made in the browser: open the link there instead.
Where there is no terminal, the first code of the app is made here, and its secret is printed for you to keep.

Example:
  demarc join 'https://demarc.example/join#dmi_...'`
}

// joined is what a new person must keep.
type joined struct {
	Server        string   `json:"server"`
	Person        string   `json:"person"`
	Role          string   `json:"role"`
	TOTPSecret    string   `json:"totp_secret,omitempty"`
	TOTPURI       string   `json:"totp_uri,omitempty"`
	RecoveryCodes []string `json:"recovery_codes,omitempty"`
}

var joinedColumns = []column[joined]{
	{key: "server", head: "SERVER", text: func(v joined) string { return v.Server }},
	{key: "person", head: "PERSON", text: func(v joined) string { return v.Person }},
	{key: "role", head: "ROLE", text: func(v joined) string { return v.Role }},
	{key: "totp_secret", head: "TOTP SECRET", text: func(v joined) string { return v.TOTPSecret }},
	{key: "totp_uri", head: "TOTP URI", text: func(v joined) string { return v.TOTPURI }},
	{key: "recovery_codes", head: "RECOVERY CODES", fit: flow, text: func(v joined) string { return strings.Join(v.RecoveryCodes, " ") }},
}

// Run accepts an invitation.
func (c *joinCmd) Run(ctx context.Context, s *session) error {
	server, secret, err := c.parse(s)
	if err != nil {
		return err
	}
	path, p, err := s.profileFor(server, c.CA)
	if err != nil {
		return err
	}
	client, err := s.visitor(server, []byte(p.CA))
	if err != nil {
		return err
	}
	invited, err := client.Invited(ctx, api.InvitationSecret{Invitation: secret})
	if err != nil {
		return fmt.Errorf("reading the invitation: %w", err)
	}
	of := "the provider"
	if invited.TenantName != "" {
		of = "tenant " + invited.TenantName
	}
	s.note("%s is invited as %s of %s.", clean(invited.Name), invited.Role, clean(of))
	password, err := c.password(s)
	if err != nil {
		return err
	}
	in, err := client.JoinWithPassword(ctx, api.JoinPassword{Invitation: secret, Login: c.Login, Password: password})
	if err != nil {
		return fmt.Errorf("joining: %w", err)
	}
	out := joined{Server: server, Role: invited.Role}
	if in.Principal != nil {
		out.Person = in.Principal.ID
	}
	if in.Next == api.NextEnrol {
		if err := s.addApp(ctx, client, &out); err != nil {
			return err
		}
	}
	// The session ends with this command; a token of twelve hours goes on.
	t, err := client.AddToken(ctx, api.NewToken{Name: "demarc join " + s.now().UTC().Format("2006-01-02 15:04"), Hours: 12})
	if err != nil {
		return errors.Join(printOne(s, out, joinedColumns), fmt.Errorf("you have joined, but this machine is not signed in; use `demarc login`: %w", err))
	}
	p.Server, p.Token, p.TokenFile = server, t.Token, ""
	if invited.Tenant != "" {
		p.Tenant = invited.TenantName
	}
	if err := errors.Join(printOne(s, out, joinedColumns), p.Save(path)); err != nil {
		return err
	}
	s.note("\nWhat is secret is not shown again. This machine is signed in for twelve hours, kept in %s.", path)
	return nil
}

// parse reads server and secret of the link.
func (c *joinCmd) parse(s *session) (server, secret string, err error) {
	link := c.Link
	if link == "-" {
		if link, err = readLine(s.streams.In); err != nil {
			return "", "", fmt.Errorf("reading the link: %w", err)
		}
	}
	u, err := url.Parse(link)
	if err != nil || u.Host == "" || u.Fragment == "" || !strings.HasSuffix(u.Path, "/join") {
		return "", "", usage("put the whole link into quotes", "this is no link of an invitation, which looks like https://demarc.example/join#dmi_...")
	}
	server = u.Scheme + "://" + u.Host
	if s.flags.Server != "" {
		server = s.flags.Server
	}
	return strings.TrimRight(server, "/"), u.Fragment, nil
}

// password asks for a new password, twice at a terminal.
func (c *joinCmd) password(s *session) (string, error) {
	_, tty := terminalOf(s.streams.In)
	if !c.PasswordStdin && !tty {
		return "", usage("add --password-stdin and send it to standard input", "there is no terminal to ask for a password at")
	}
	if c.PasswordStdin {
		return s.readSecret()
	}
	fmt.Fprint(s.streams.Err, "New password, at least 12 characters: ")
	first, err := s.readSecret()
	if err != nil {
		return "", fmt.Errorf("reading the password: %w", err)
	}
	fmt.Fprint(s.streams.Err, "Once more: ")
	second, err := s.readSecret()
	if err == nil && first != second {
		err = errors.New("the two are not the same; nothing was done")
	}
	return first, err
}

// addApp adds an authenticator app. At a terminal its first code is typed in,
// which shows that the app has the secret.
func (s *session) addApp(ctx context.Context, client *api.Client, out *joined) error {
	app, err := client.BeginTOTP(ctx)
	if err != nil {
		return fmt.Errorf("adding an authenticator app: %w", err)
	}
	out.TOTPSecret, out.TOTPURI = app.Secret, app.URI
	code, err := totp.GenerateCode(app.Secret, s.now())
	if err != nil {
		return fmt.Errorf("making the app's first code: %w", err)
	}
	_, tty := terminalOf(s.streams.In)
	for {
		if tty {
			fmt.Fprintf(s.streams.Err, "Add this to your authenticator app, by hand or as a QR code:\n\n  %s\n  %s\n\nThe code that it shows: ", app.Secret, app.URI)
			if code, err = readLine(s.streams.In); err != nil {
				return fmt.Errorf("reading the code: %w", err)
			}
		}
		codes, err := client.FinishTOTP(ctx, api.SecondFactor{Code: code})
		var p *api.Problem
		if tty && errors.As(err, &p) && p.Status == http.StatusUnauthorized {
			fmt.Fprintln(s.streams.Err, "That is not the code. Check the clock of the device that shows it.")
			continue
		}
		if err != nil {
			return fmt.Errorf("adding an authenticator app: %w", err)
		}
		out.RecoveryCodes = codes.Codes
		return nil
	}
}

// profileFor is the profile with the authority of the server: of the file ca,
// or as it was kept.
func (s *session) profileFor(server, ca string) (path string, p Profile, err error) {
	if path, _, err = s.profilePath(); err != nil {
		return "", p, err
	}
	old, err := LoadProfile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", p, err
	}
	p = Profile{Server: server}
	if sameServer(server, old.Server) {
		p.CA, p.Tenant = old.CA, old.Tenant
	}
	if ca != "" {
		pem, err := os.ReadFile(ca)
		if err != nil {
			return "", p, fmt.Errorf("reading the certificate authority: %w", err)
		}
		if _, err := api.NewHTTP(pem); err != nil {
			return "", p, fmt.Errorf("reading %s: %w", ca, err)
		}
		p.CA = string(pem)
	}
	return path, p, nil
}

// visitor is a client that keeps cookies, as a browser does.
func (s *session) visitor(server string, ca []byte) (*api.Client, error) {
	client, err := s.client(server, "", ca)
	if err != nil {
		return nil, err
	}
	if client.HTTP.Jar, err = cookiejar.New(nil); err != nil {
		return nil, err
	}
	client.HTTP.Transport = ownPage{client.HTTP.Transport}
	client.Timeout = time.Minute // hashing a password takes its time
	return client, nil
}

// ownPage says what a browser would say of a page of the server's own.
type ownPage struct{ next http.RoundTripper }

// RoundTrip implements http.RoundTripper.
func (o ownPage) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Header.Set("Sec-Fetch-Site", "same-origin")
	if o.next == nil {
		return http.DefaultTransport.RoundTrip(r)
	}
	return o.next.RoundTrip(r)
}
