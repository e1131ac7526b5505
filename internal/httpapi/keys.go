package httpapi

import (
	"errors"
	"net/http"
	"slices"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/demarc/demarc/api"
	"github.com/demarc/demarc/internal/access"
	"github.com/demarc/demarc/internal/consent"
	"github.com/demarc/demarc/internal/decision"
	"github.com/demarc/demarc/internal/identity"
	"github.com/demarc/demarc/internal/store"
)

// keysChanged is 201 with the first keys, and 202 with a change to be signed.
type keysChanged struct {
	Status int
	Body   api.KeysChanged
}

func (a *API) addKeys() {
	add(a, tenant(access.Look), get("get-keys", "/v1/tenants/{tenant}/keys", "The keys that count for the customer's decisions"), func(c call, in *struct{ TenantPath }) (*body[api.KeySet], error) {
		out := api.KeySet{Tenant: c.tenant.ID, Keys: []api.Key{}, Recovery: []api.Key{}}
		err := a.cfg.Store.Read(c, func(tx *store.Tx) error {
			s, err := tx.KeySet(c.tenant.ID)
			if errors.Is(err, store.ErrNotFound) {
				return nil
			}
			if err != nil {
				return err
			}
			out = keySetOut(s)
			out.Left, err = left(tx, s.Keys, a.cfg.Now())
			return err
		})
		return plain(out, err)
	})
	add(a, tenant(access.ManageKeys), created(post("change-keys", "/v1/tenants/{tenant}/keys", "Make the first keys (201), or propose a change of them, to be signed (202)")), func(c call, in *struct {
		TenantPath
		Body api.ChangeKeys
	}) (*keysChanged, error) {
		if err := a.ownPasskeys(c, in.Body.Add); err != nil {
			return nil, err
		}
		change, err := keyChange(in.Body)
		if err != nil {
			return nil, err
		}
		first, pending, err := a.cfg.Consent.ChangeKeys(c, c.by, c.tenant.ID, change)
		if err != nil {
			return nil, err
		}
		if first != nil {
			set := keySetOut(*first)
			return &keysChanged{http.StatusCreated, api.KeysChanged{KeySet: &set}}, nil
		}
		out, err := a.answerDecision(c, pending.ID)
		if err != nil {
			return nil, err
		}
		return &keysChanged{http.StatusAccepted, api.KeysChanged{Decision: &out.Body}}, nil
	})
}

// ownPasskeys fills in the keys that are passkeys of the caller's account.
func (a *API) ownPasskeys(c call, add []api.NewKey) error {
	for i, k := range add {
		if k.Passkey == "" {
			continue
		}
		if k.Holder != "" && k.Holder != c.by.ID {
			return huma.Error422UnprocessableEntity("a passkey signs for the person that it belongs to: leave the holder out")
		}
		var all []identity.Passkey
		err := a.cfg.Store.Read(c, func(tx *store.Tx) (err error) {
			all, err = a.cfg.Identities.Passkeys(tx, c.by.ID)
			return err
		})
		if err != nil {
			return err
		}
		n := slices.IndexFunc(all, func(p identity.Passkey) bool { return p.ID == k.Passkey })
		if n < 0 {
			return huma.Error404NotFound("you sign in with no passkey " + clip(k.Passkey))
		}
		p := all[n]
		add[i].Algorithm, add[i].Public, add[i].Credential, add[i].RPID, add[i].Origins = decision.WebAuthn, p.Public, p.Credential, p.RPID, p.Origins
		if k.Name == "" {
			add[i].Name = p.Label
		}
	}
	return nil
}

func keyChange(in api.ChangeKeys) (consent.KeyChange, error) {
	out := consent.KeyChange{Remove: in.Remove, Threshold: in.Threshold}
	for _, k := range in.Add {
		out.Add = append(out.Add, keyIn(k))
	}
	if in.Recovery != nil {
		out.Recovery = []decision.Key{}
		for _, k := range *in.Recovery {
			out.Recovery = append(out.Recovery, keyIn(k))
		}
	} else if in.Threshold != 0 {
		return out, huma.Error422UnprocessableEntity("the threshold counts recovery keys: give them too")
	}
	if in.Required != nil {
		out.Required = map[decision.Kind]int{}
		for k, n := range in.Required {
			out.Required[decision.Kind(k)] = n
		}
	}
	if len(out.Add)+len(out.Remove) == 0 && out.Recovery == nil && out.Required == nil {
		return out, huma.Error422UnprocessableEntity("nothing would change: add or remove a key, or replace the recovery keys")
	}
	return out, nil
}

func keyIn(k api.NewKey) decision.Key {
	out := decision.Key{
		Name: k.Name, Holder: k.Holder, Algorithm: k.Algorithm, Public: k.Public, Credential: k.Credential, RPID: k.RPID, Origins: k.Origins,
	}
	for _, kind := range k.Kinds {
		out.Kinds = append(out.Kinds, decision.Kind(kind))
	}
	return out
}

// left lists the keys whose holders are gone. The server refuses these holders,
// but agents go by the key set.
func left(tx *store.Tx, keys []decision.Key, now time.Time) (ids []string, err error) {
	for _, k := range keys {
		c, err := tx.Principal(k.Holder)
		switch {
		case errors.Is(err, store.ErrNotFound):
		case err != nil:
			return nil, err
		case c.Stands(now):
			continue
		}
		ids = append(ids, k.ID)
	}
	return ids, nil
}

func keyOut(k decision.Key) api.Key {
	out := api.Key{
		ID: k.ID, Name: k.Name, Holder: k.Holder, Algorithm: k.Algorithm, Public: k.Public, Credential: k.Credential, RPID: k.RPID, Origins: k.Origins,
	}
	for _, kind := range k.Kinds {
		out.Kinds = append(out.Kinds, string(kind))
	}
	return out
}

func keySetOut(s store.KeySet) api.KeySet {
	out := api.KeySet{
		Tenant: s.Tenant, Version: s.Version, Keys: []api.Key{}, Recovery: []api.Key{}, Threshold: s.Threshold, Digest: s.Digest,
		Canonical: []byte(s.Body), CreatedAt: &s.CreatedAt, By: s.By,
	}
	for _, k := range s.Keys {
		out.Keys = append(out.Keys, keyOut(k))
	}
	for _, k := range s.Recovery {
		out.Recovery = append(out.Recovery, keyOut(k))
	}
	for kind, n := range s.Required {
		if out.Required == nil {
			out.Required = map[string]int{}
		}
		out.Required[string(kind)] = n
	}
	return out
}
