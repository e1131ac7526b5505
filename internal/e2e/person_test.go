package e2e

import (
	"net/http"
	"net/http/cookiejar"
	"net/url"

	"github.com/demarc/demarc/api"
)

// page is a browser's page of the console: it keeps cookies and says that its
// requests are its own.
type page struct{ http.RoundTripper }

func (p page) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Header.Set("Sec-Fetch-Site", "same-origin")
	return p.RoundTripper.RoundTrip(r)
}

// owner invites the first owner of a tenant, accepts the invitation with a
// password, and returns a server as that person sees it.
func (s *server) owner(tenant string) *server {
	s.t.Helper()
	in, err := s.client.Invite(s.t.Context(), api.NewInvitation{Name: "Olga Owner", Mail: "olga@" + tenant + ".example", Role: "customer-owner", Tenant: tenant})
	if err != nil {
		s.t.Fatal(err)
	}
	link, err := url.Parse(in.Link)
	if err != nil {
		s.t.Fatal(err)
	}
	jar, err := cookiejar.New(nil)
	if err != nil {
		s.t.Fatal(err)
	}
	browser := &api.Client{Base: s.client.Base, HTTP: &http.Client{Jar: jar, Transport: page{http.DefaultTransport}}}
	if _, err := browser.JoinWithPassword(s.t.Context(), api.JoinPassword{Invitation: link.Fragment, Password: "a long and plain sentence"}); err != nil {
		s.t.Fatal(err)
	}
	token, err := browser.AddToken(s.t.Context(), api.NewToken{Name: "command line", Days: 1})
	if err != nil {
		s.t.Fatal(err)
	}
	person := *s
	person.client = &api.Client{Base: s.client.Base, Token: token.Token}
	return &person
}
