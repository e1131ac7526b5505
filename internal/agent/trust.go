package agent

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"github.com/demarc/demarc/internal/decision"
	"github.com/demarc/demarc/internal/durable"
	"github.com/demarc/demarc/internal/wire"
)

// The pin is written by whoever stands at the machine, at enrolment or with
// `demarc-agent trust`; what follows from it is the running agent's. Two files,
// so that neither overwrites the other's.
const (
	pinFile      = "customer-keys"
	customerFile = "customer.json"
	// maxHeld bounds the policies that an agent keeps.
	maxHeld = 64
)

var digestForm = regexp.MustCompile(`^sha256:[0-9a-f]{64}$`)

// Trust pins the customer's key set of that digest. The agent on dir goes by it
// from its next look on, and forgets policies that came under another pin.
func Trust(dir, digest string) error {
	if !digestForm.MatchString(digest) {
		return errors.New("want the digest of the customer's key set as sha256:<64 hex digits>; `demarc key list` prints it")
	}
	if _, err := LoadIdentity(dir); err != nil {
		return err
	}
	return pin(dir, digest)
}

func pin(dir, digest string) error {
	if err := durable.WriteFile(filepath.Join(dir, pinFile), []byte(digest+"\n"), 0o600); err != nil {
		return fmt.Errorf("pin the customer's keys: %w", err)
	}
	return nil
}

// pinnedKeys returns the digest that was pinned; empty if none was.
func pinnedKeys(dir string) (string, error) {
	b, err := os.ReadFile(filepath.Join(dir, pinFile))
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("read the pinned keys: %w", err)
	}
	digest := strings.TrimSpace(string(b))
	if !digestForm.MatchString(digest) {
		return "", fmt.Errorf("read the pinned keys: %s is damaged: run `demarc-agent trust` again", filepath.Join(dir, pinFile))
	}
	return digest, nil
}

// customer is what an agent knows of the customer by the customer's own word:
// the keys that its pin led to, and the newest signed policies.
type customer struct {
	// Pin is the digest that Keys were followed from.
	Pin string `json:"pin"`
	// Tenant and VM are those of the enrolment. What a server says later about
	// whose machine this is does not change whose policies count.
	Tenant string           `json:"tenant"`
	VM     string           `json:"vm"`
	Keys   *decision.KeySet `json:"keys,omitempty"`
	// Held are the newest policies by subject and service, also those that have
	// expired: nothing older than them counts any more.
	Held map[string]decision.Signed `json:"held"`
}

// loadCustomer reads what the agent on dir held last. A file that is damaged is
// an error: beginning anew would forget which versions are over.
func loadCustomer(dir string) (customer, error) {
	c := customer{Held: map[string]decision.Signed{}}
	b, err := os.ReadFile(filepath.Join(dir, customerFile))
	if errors.Is(err, fs.ErrNotExist) {
		return c, nil
	}
	if err == nil {
		err = json.Unmarshal(b, &c)
	}
	if err != nil {
		return customer{}, fmt.Errorf("read the customer's policies: %w", err)
	}
	if c.Held == nil {
		c.Held = map[string]decision.Signed{}
	}
	return c, nil
}

// save keeps c, whole or not at all.
func (c customer) save(dir string) error {
	b, err := json.Marshal(c)
	if err == nil {
		err = durable.WriteFile(filepath.Join(dir, customerFile), b, 0o600)
	}
	if err != nil {
		return fmt.Errorf("keep the customer's policies: %w", err)
	}
	return nil
}

// under returns c if it goes by that pin, or else a new beginning.
func (c customer) under(pin string, id Identity) customer {
	if c.Pin == pin && c.Tenant == id.Tenant {
		return c
	}
	return customer{Pin: pin, Tenant: id.Tenant, VM: id.VM, Held: map[string]decision.Signed{}}
}

// follow takes over the keys that signed changes lead to. On an error c stays
// as it was, or as far as it could be followed.
func (c customer) follow(h decision.History) (customer, error) {
	if c.Keys == nil {
		known, err := h.Find(c.Pin)
		if err != nil {
			return c, err
		}
		if known.Tenant != c.Tenant {
			return c, fmt.Errorf("%w: the pinned keys are those of tenant %s", decision.ErrForeign, known.Tenant)
		}
		c.Keys = &known
	}
	newest, err := h.Follow(*c.Keys)
	c.Keys = &newest
	return c, err
}

// take checks one policy and holds it if it is newer than what is held.
func (c customer) take(s decision.Signed) (customer, error) {
	d := s.Decision
	content, err := decision.Content[decision.PolicyContent](d, decision.AgentPolicy)
	if err != nil {
		return c, err
	}
	digest, err := d.Digest()
	if err != nil {
		return c, err
	}
	if d.Tenant != c.Tenant || (d.Subject != "vm/"+c.VM && d.Subject != "tenant/"+c.Tenant) {
		return c, fmt.Errorf("%w: it was signed for %s of tenant %s", decision.ErrForeign, d.Subject, d.Tenant)
	}
	key := d.Subject + " " + content.Service
	held, there := c.Held[key]
	if there {
		same, err := held.Decision.Digest()
		switch {
		case err != nil:
			return c, err
		case same == digest:
			return c, nil // its key may have been removed since; it was good when it came
		case d.Version < held.Decision.Version:
			return c, fmt.Errorf("%w: version %d came after version %d", decision.ErrRolledBack, d.Version, held.Decision.Version)
		case d.Version == held.Decision.Version, d.ID == held.Decision.ID:
			return c, fmt.Errorf("%w: version %d of %s is another decision already", decision.ErrReplayed, held.Decision.Version, held.Decision.ID)
		}
	}
	if c.Keys == nil {
		return c, errUnpinned
	}
	// When it was signed is for the server to watch over; for how long it counts
	// is in what was signed.
	if _, err := c.Keys.Verify(s, d.IssuedAt); err != nil {
		return c, err
	}
	if !there && len(c.Held) >= maxHeld {
		return c, fmt.Errorf("%w: more than %d policies for one machine", decision.ErrForm, maxHeld)
	}
	c.Held = maps.Clone(c.Held)
	c.Held[key] = s
	return c, nil
}

var errUnpinned = errors.New("this machine trusts no keys of the customer: run `demarc-agent trust DIGEST` on it, with the digest that `demarc key list` prints")

// obeyed is a policy that counts now.
type obeyed struct {
	wire.AgentPolicy
	document json.RawMessage
}

// obey returns the policies that count at the moment now, by service: that of
// the VM before that of its tenant. ended are those whose time is over.
func (c customer) obey(now time.Time) (policies map[string]obeyed, ended []wire.AgentRefusal) {
	policies = map[string]obeyed{}
	for _, subject := range []string{"tenant/" + c.Tenant, "vm/" + c.VM} {
		for _, s := range c.Held {
			if s.Decision.Subject != subject {
				continue
			}
			content, err := decision.Content[decision.PolicyContent](s.Decision, decision.AgentPolicy)
			if err != nil {
				continue // nothing else is held
			}
			if content.Until != nil && !now.Before(*content.Until) {
				ended = append(ended, refusal(s, content.Service, fmt.Errorf("%w: it counted until %s; have another signed", decision.ErrExpired, content.Until.Format(time.RFC3339))))
				continue
			}
			digest, _ := s.Decision.Digest()
			policies[content.Service] = obeyed{wire.AgentPolicy{
				Service: content.Service, Subject: subject, Version: int(s.Decision.Version), Decision: s.Decision.ID, Digest: digest, Until: content.Until,
			}, content.Document}
		}
	}
	return policies, ended
}

// refusal says why a policy is not obeyed. What it quotes of the policy is
// bounded: it may be anybody's.
func refusal(s decision.Signed, service string, err error) wire.AgentRefusal {
	class := decision.Reason(err)
	if errors.Is(err, errUnpinned) {
		class = "unpinned"
	}
	if class == "" {
		class = "malformed"
	}
	return wire.AgentRefusal{Service: clip(service, 100), Decision: clip(s.Decision.ID, 100), Class: class, Reason: clip(err.Error(), 400)}
}
