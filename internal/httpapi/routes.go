package httpapi

import (
	"maps"
	"net/http"
	"slices"
	"strings"
)

// routes is a multiplexer that remembers its patterns, which of them were
// registered with a rule, and which on purpose without.
type routes struct {
	*http.ServeMux
	patterns      []string
	ruled, opened map[string]bool
}

func newRoutes() *routes {
	return &routes{ServeMux: http.NewServeMux(), ruled: map[string]bool{}, opened: map[string]bool{}}
}

// HandleFunc registers a handler.
func (m *routes) HandleFunc(pattern string, h func(http.ResponseWriter, *http.Request)) {
	m.patterns = append(m.patterns, pattern)
	m.ServeMux.HandleFunc(pattern, h)
}

// Routes lists the patterns of all routes, as "METHOD /path".
func (a *API) Routes() []string { return slices.Sorted(slices.Values(a.mux.patterns)) }

// Unauthorized lists the routes that nothing decides about: those that were
// registered without a rule and are not open on purpose.
func (a *API) Unauthorized() []string {
	return slices.DeleteFunc(a.Routes(), func(pattern string) bool {
		_, path, _ := strings.Cut(pattern, " ")
		return a.mux.ruled[pattern] || open[path] || descriptions[path] || a.mux.opened[pattern] && signInPaths[path]
	})
}

// descriptions are further forms of the description of the API. They tell
// nothing of anybody, and whoever is signed in may read them.
var descriptions = map[string]bool{"/openapi-3.0.json": true, "/openapi-3.0.yaml": true}

// Open lists the paths that are served without an API token or session.
func (a *API) Open() []string {
	all := map[string]bool{}
	for path := range open {
		all[path] = true
	}
	for _, pattern := range a.mux.patterns {
		if _, path, _ := strings.Cut(pattern, " "); signInPaths[path] {
			all[path] = true
		}
	}
	return slices.Sorted(maps.Keys(all))
}
