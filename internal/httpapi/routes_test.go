package httpapi_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/danielgtaylor/huma/v2"
)

// openPaths are all that is served to whoever asks: the description of the API,
// what agents call with credentials of their own, and what people sign in with.
var openPaths = []string{
	"/openapi.json", "/openapi.yaml", "/v1/agent/policies", "/v1/device/begin", "/v1/device/poll", "/v1/enrol",
	"/v1/join/look", "/v1/join/passkey/begin", "/v1/join/passkey/finish", "/v1/join/password", "/v1/renew",
	"/v1/sign-in", "/v1/sign-in/oidc/begin", "/v1/sign-in/oidc/callback", "/v1/sign-in/passkey/begin", "/v1/sign-in/passkey/finish",
	"/v1/sign-in/password", "/v1/sign-in/recovery", "/v1/sign-in/totp",
}

// TestEveryRouteIsDecidedAbout: each route of the multiplexer has a rule or is
// one of the known few that are open, and each operation of the description is
// a route.
func TestEveryRouteIsDecidedAbout(t *testing.T) {
	a := shared.API()
	if holes := a.Unauthorized(); len(holes) > 0 {
		t.Errorf("nothing decides about %v", holes)
	}
	if got := a.Open(); !slices.Equal(got, openPaths) {
		t.Errorf("open is %v", got)
	}
	all := a.Routes()
	for _, op := range operations(t, shared) {
		if !slices.Contains(all, op.Method+" "+op.Path) {
			t.Errorf("%s is described and not served", op.OperationID)
		}
	}
	described := 0
	for _, item := range a.OpenAPI().Paths {
		for _, op := range []*huma.Operation{item.Get, item.Post, item.Put, item.Patch, item.Delete} {
			if op != nil {
				described++
			}
		}
	}
	hidden := slices.DeleteFunc(slices.Clone(all), func(r string) bool { return !strings.Contains(r, "/openapi") })
	if described+len(hidden) != len(all) {
		t.Errorf("%d routes, %d described and %v", len(all), described, hidden)
	}
}
