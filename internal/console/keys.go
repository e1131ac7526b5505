package console

import (
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/demarc/demarc/api"
)

// keysPage shows what the customer signs with.
type keysPage struct {
	Tenant             string
	Version            int64
	Digest             string
	Keys, Recovery     []keyLine
	Threshold          int
	Required           map[string]int
	Warnings           []string
	Pending            string
	MayManage          bool
	Options            string
	Problem            *problemPage
	Name, Public, Kind string
}

type keyLine struct {
	api.Key
	HolderName string
}

func (c *Console) keysPage(v *visit) (*keysPage, api.KeySet, error) {
	t, err := v.client.Tenant(v, v.tenant())
	if err != nil {
		return nil, api.KeySet{}, err
	}
	set, err := v.client.Keys(v, t.Name)
	if err != nil {
		return nil, set, err
	}
	names, err := knownNames(v)
	if err != nil {
		return nil, set, err
	}
	page := &keysPage{
		Tenant: t.Name, Version: set.Version, Digest: set.Digest, Threshold: set.Threshold, Required: set.Required,
		MayManage: v.may("manage-keys", t), Warnings: keyWarnings(set),
	}
	for _, k := range set.Keys {
		page.Keys = append(page.Keys, keyLine{k, orElse(names[k.Holder], brief(k.Holder, nil))})
	}
	for _, k := range set.Recovery {
		page.Recovery = append(page.Recovery, keyLine{k, names[k.Holder]})
	}
	for d, err := range v.client.Decisions(v, t.Name, "pending") {
		if err != nil {
			return nil, set, err
		}
		if d.Kind == "key-change" {
			page.Pending = d.ID
		}
	}
	if page.MayManage {
		page.Options = creationOptions(set, v.me, v.host())
	}
	return page, set, nil
}

// keyWarnings says what a lost key would cost.
func keyWarnings(set api.KeySet) (out []string) {
	switch {
	case len(set.Keys) == 0:
	case len(set.Keys) == 1 && len(set.Recovery) == 0:
		out = append(out, "There is one key and no recovery. If it is lost, nothing can be signed any more, and every agent has to be enrolled again by hand. Add a second key, and recovery keys.")
	case len(set.Recovery) == 0:
		out = append(out, "There are no recovery keys. Add some, and keep them apart, in safes.")
	}
	for _, k := range set.Keys {
		if slices.Contains(set.Left, k.ID) {
			out = append(out, "The holder of the key "+orElse(k.Name, brief(k.ID, nil))+" no longer acts for the tenant, and agents obey the key until it is removed. Remove it.")
		}
	}
	if n := len(set.Recovery); n > 0 && set.Threshold == n && n > 1 {
		out = append(out, "Recovery takes every recovery key: losing one of them ends it.")
	}
	return out
}

func (c *Console) keys(v *visit) error {
	page, _, err := c.keysPage(v)
	if err != nil {
		return err
	}
	c.render(v, http.StatusOK, "keys", "Keys", page)
	return nil
}

// changeKeys makes the first key, or proposes a change that a key must sign.
func (c *Console) changeKeys(v *visit) error {
	page, set, err := c.keysPage(v)
	if err != nil {
		return err
	}
	form := v.r.PostForm
	page.Kind, page.Name, page.Public = form.Get("do"), form.Get("name"), form.Get("public")
	var in api.ChangeKeys
	switch page.Kind {
	case "remove":
		in.Remove = []string{form.Get("key")}
	case "passkey":
		var k api.NewKey
		k, err = newPasskey(form.Get("credential"), v.host())
		k.Name = strings.TrimSpace(page.Name)
		in.Add = []api.NewKey{k}
	case "ed25519":
		var k api.NewKey
		k.Algorithm, k.Name = "ed25519", strings.TrimSpace(page.Name)
		text := page.Public
		if strings.Contains(text, "PRIVATE KEY") {
			page.Public = "" // it is not shown again
		}
		if k.Public, err = publicKey(text); err == nil && form.Get("recovery") != "" {
			recovery := append(asNew(set.Recovery), k)
			in.Recovery, in.Threshold = &recovery, max(set.Threshold, min(2, len(recovery)))
		} else {
			in.Add = []api.NewKey{k}
		}
	case "threshold":
		recovery := asNew(set.Recovery)
		in.Recovery = &recovery
		in.Threshold, _ = strconv.Atoi(form.Get("threshold")) // 0 is refused as it should be
	default:
		err = unknownForm
	}
	var done api.KeysChanged
	if err == nil {
		done, err = v.client.ChangeKeys(v, page.Tenant, in)
	}
	if err != nil {
		return c.again(v, err, "keys", "Keys", func(p *problemPage) any { page.Problem = p; return page })
	}
	to := pathOf("tenants", page.Tenant, "keys")
	if done.Decision != nil {
		to = pathOf("tenants", page.Tenant, "decisions", done.Decision.ID)
	}
	http.Redirect(v.w, v.r, to, http.StatusSeeOther)
	return nil
}

// asNew are keys as they are sent to be kept.
func asNew(keys []api.Key) (out []api.NewKey) {
	for _, k := range keys {
		out = append(out, api.NewKey{
			Name: k.Name, Holder: k.Holder, Algorithm: k.Algorithm, Public: k.Public, Credential: k.Credential, RPID: k.RPID, Origins: k.Origins, Kinds: k.Kinds,
		})
	}
	return out
}
