package console

import (
	"net/http"
	"strings"

	"github.com/demarc/demarc/api"
)

// targets lists what sessions can reach; nothing for those who may not know.
func (v *visit) targets() ([]api.Target, error) {
	all, err := api.Collect(v.client.Targets(v))
	if absent(err) {
		return nil, nil
	}
	return all, err
}

// targetsPage is the register of what sessions can reach.
type targetsPage struct {
	Targets   []api.Target
	Gateway   *api.GatewayKeys
	MayManage bool
	Form      targetForm
	Problem   *problemPage
}

type targetForm struct{ Name, Kind, Address, User, Trust string }

func (c *Console) targetsPage(v *visit) (*targetsPage, error) {
	page := &targetsPage{MayManage: v.mayAtHome("manage-targets")}
	var err error
	if page.Targets, err = api.Collect(v.client.Targets(v)); err != nil {
		return nil, err
	}
	keys, err := v.client.GatewayKeys(v)
	if err == nil {
		page.Gateway = &keys
	} else if !absent(err) {
		return nil, err
	}
	return page, nil
}

func (c *Console) targets(v *visit) error {
	page, err := c.targetsPage(v)
	if err != nil {
		return err
	}
	c.render(v, http.StatusOK, "targets", "Targets", page)
	return nil
}

func (c *Console) changeTargets(v *visit) error {
	page, err := c.targetsPage(v)
	if err != nil {
		return err
	}
	form := v.r.PostForm
	switch form.Get("do") {
	case "remove":
		err = v.client.RemoveTarget(v, form.Get("id"))
	case "add":
		f := targetForm{strings.TrimSpace(form.Get("name")), form.Get("kind"), strings.TrimSpace(form.Get("address")), strings.TrimSpace(form.Get("user")), form.Get("trust")}
		page.Form = f
		in := api.NewTarget{Name: f.Name, Kind: f.Kind, Address: f.Address, User: f.User}
		switch trust := strings.TrimSpace(f.Trust); {
		case f.Kind != "web":
			for line := range strings.Lines(trust) {
				if line = strings.TrimSpace(line); line != "" {
					in.HostKeys = append(in.HostKeys, line)
				}
			}
		case strings.HasPrefix(trust, "sha256:"):
			in.Pin = trust
		default:
			in.CA = trust
		}
		_, err = v.client.CreateTarget(v, in)
	default:
		err = unknownForm
	}
	if err == nil {
		http.Redirect(v.w, v.r, "/targets", http.StatusSeeOther)
		return nil
	}
	return c.again(v, err, "targets", "Targets", func(p *problemPage) any { page.Problem = p; return page })
}
