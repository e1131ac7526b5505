package httpapi_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/danielgtaylor/huma/v2"

	"github.com/demarc/demarc/internal/httpapi"
)

// openPaths are all that is served to whoever asks: the description of the API,
// and what agents call with credentials of their own.
var openPaths = []string{"/openapi.json", "/openapi.yaml", "/v1/enrol", "/v1/renew"}

// TestEveryRouteIsDecidedAbout: each route of the multiplexer has a rule or is
// one of the known few that are open, and each operation of the description is
// a route.
func TestEveryRouteIsDecidedAbout(t *testing.T) {
	a := shared.API()
	if holes := a.Unauthorized(); len(holes) > 0 {
		t.Errorf("nothing decides about %v", holes)
	}
	if got := httpapi.Open(); !slices.Equal(got, openPaths) {
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
