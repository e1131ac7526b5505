package console

import (
	"net/http"
	"strings"

	"github.com/demarc/demarc/api"
)

// activityPage is what the provider did, newest first.
type activityPage struct {
	Tenant, Events string
	Acts           []act
	More           bool
}

type act struct {
	api.Activity
	// Loud acts are those that a customer must not miss.
	Loud bool
	Path string
}

const activityLimit = 200

func (c *Console) activity(v *visit) error {
	t, err := v.client.Tenant(v, v.tenant())
	if err != nil {
		return err
	}
	page := activityPage{Tenant: t.Name, Events: "/v1/events?tenant=" + t.ID}
	for a, err := range v.client.Activity(v, t.Name, "") {
		if err != nil {
			return err
		}
		if page.More = len(page.Acts) == activityLimit; page.More {
			break
		}
		page.Acts = append(page.Acts, act{Activity: a, Loud: loudAct(a.Action), Path: subjectPath(t.Name, a.Subject)})
	}
	c.render(v, http.StatusOK, "activity", "Activity", page)
	return nil
}

func loudAct(action string) bool {
	return strings.Contains(action, "break") || strings.HasPrefix(action, "incident.")
}

// subjectPath is the page about a ledger entry's subject; empty without one.
func subjectPath(tenant, subject string) string {
	kind, id, _ := strings.Cut(subject, "/")
	if id == "" {
		return ""
	}
	page, ok := map[string]string{"grant": "access", "decision": "decisions", "recording": "sessions", "session": "sessions", "vm": "vms", "review": "reviews"}[kind]
	if !ok {
		return ""
	}
	return pathOf("tenants", tenant, page, id)
}

// privilegesPage reports rights that nobody uses.
type privilegesPage struct {
	Tenant string
	api.Privileges
	Names map[string]string
}

func (c *Console) privileges(v *visit) error {
	p, err := v.client.Privileges(v, v.tenant())
	if err != nil {
		return err
	}
	names, err := knownNames(v)
	if err != nil {
		return err
	}
	c.render(v, http.StatusOK, "privileges", "Privileges", privilegesPage{v.tenant(), p, names})
	return nil
}
