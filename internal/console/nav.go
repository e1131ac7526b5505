package console

import (
	"slices"

	"github.com/demarc/demarc/api"
)

// section is a part of the navigation. The views of a section share its tab.
type section struct {
	title string
	// path is below /tenants/T, or below / for those of the provider.
	path string
	// pages are the templates that belong to it.
	pages []string
	// offered, unless nil, says to whom it is shown.
	offered func(me api.Principal) bool
	views   []section
}

// tab is a link of the navigation as it is drawn.
type tab struct {
	Title, Path string
	// Current is empty, "page", or "true" for a page below.
	Current string
}

var tenantSections = []section{
	{title: "Matrix", pages: []string{"matrix", "duty"}},
	{title: "VMs", path: "vms", pages: []string{"vms", "vm"}},
	{title: "Subscriptions", path: "subscriptions", pages: []string{"subscriptions"}},
	{title: "Access", path: "access", views: []section{
		{title: "Requests", path: "access", pages: []string{"requests", "request"}},
		{title: "Sessions", path: "sessions", pages: []string{"sessions", "session"}},
	}},
	{title: "Decisions", path: "decisions", views: []section{
		{title: "Decisions", path: "decisions", pages: []string{"decisions", "decision"}},
		{title: "Keys", path: "keys", pages: []string{"keys"}},
	}},
	{title: "Activity", path: "activity", views: []section{
		{title: "Activity", path: "activity", pages: []string{"activity"}},
		{title: "Incidents", path: "incidents", pages: []string{"incidents"}},
		{title: "Ledger", path: "ledger", pages: []string{"ledger"}},
	}},
	{title: "Reviews", path: "reviews", views: []section{
		{title: "Reviews", path: "reviews", pages: []string{"reviews", "review"}},
		{title: "Privileges", path: "privileges", pages: []string{"privileges"}},
	}},
	{title: "People", path: "people", pages: []string{"people"}, offered: func(me api.Principal) bool {
		return offers(me, "manage-people", anOwn) || offers(me, "invite-owner", anOwn)
	}},
}

var providerSections = []section{
	{title: "Overview", pages: []string{"overview"}},
	{title: "Access", path: "access", views: []section{
		{title: "My access", path: "access", pages: []string{"myaccess"}},
		{title: "Targets", path: "targets", pages: []string{"targets"}},
	}},
	{title: "Reviews", path: "reviews", views: []section{
		{title: "Reviews", path: "reviews", pages: []string{"reviews", "review"}},
		{title: "Privileges", path: "privileges", pages: []string{"privileges"}},
	}},
	{title: "People", path: "people", pages: []string{"people"}},
	{title: "Ledger", path: "ledger", pages: []string{"ledger"}},
}

// navigate lists the tabs of the sections below base, and the views of the
// section that page belongs to.
func navigate(sections []section, base []string, page string, me api.Principal) (tabs, views []tab) {
	link := func(s section, pages []string) tab {
		t := tab{Title: s.title, Path: "/"}
		if p := append(slices.Clone(base), pathSegments(s.path)...); len(p) > 0 {
			t.Path = pathOf(p...)
		}
		switch i := slices.Index(pages, page); {
		case i == 0:
			t.Current = "page"
		case i > 0:
			t.Current = "true"
		}
		return t
	}
	for _, s := range sections {
		if s.offered != nil && !s.offered(me) {
			continue
		}
		pages := s.pages
		var below []tab
		for _, v := range s.views {
			pages = append(slices.Clone(pages), v.pages...)
			below = append(below, link(v, v.pages))
		}
		t := link(s, pages)
		tabs = append(tabs, t)
		if t.Current != "" {
			views = below
		}
	}
	return tabs, views
}

func pathSegments(p string) []string {
	if p == "" {
		return nil
	}
	return []string{p}
}
