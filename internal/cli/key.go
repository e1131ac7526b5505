package cli

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"

	"golang.org/x/crypto/ssh"

	"github.com/demarc/demarc/api"
)

type keyCmd struct {
	Generate keyGenerateCmd `cmd:"" help:"Make an Ed25519 key in a file, and its public half in FILE.pub."`
	Add      keyAddCmd      `cmd:"" help:"Add a key that decisions are signed with; the first one counts at once."`
	List     keyListCmd     `cmd:"" help:"List the keys that count, with the digest that agents pin."`
	Remove   keyRemoveCmd   `cmd:"" help:"Remove a key."`
	Rotate   keyRotateCmd   `cmd:"" help:"Put a new key in the place of one."`
	Recover  keyRecoverCmd  `cmd:"" help:"Put a new key in the place of lost ones, by the recovery keys."`
}

type keyGenerateCmd struct {
	File       string `arg:"" help:"Where the private key goes; it must not exist." type:"path"`
	Passphrase bool   `help:"Encrypt it; the passphrase is asked for, or taken from DEMARC_KEY_PASSPHRASE."`
}

// newKeyFlags describe a key that is added.
type newKeyFlags struct {
	Name  string   `help:"What you call it." placeholder:"NAME"`
	Kinds []string `help:"Kinds of decisions that it may sign, such as waiver; all if left out." placeholder:"KIND"`
}

type keyAddCmd struct {
	Public    string   `arg:"" help:"The public key: FILE.pub as key generate or ssh-keygen writes it, PEM or DER." type:"existingfile"`
	Holder    string   `help:"Id of the principal that will sign with it; you if left out." placeholder:"ID"`
	Recovery  []string `help:"Public half of a recovery key; repeatable. They replace the recovery keys there are." placeholder:"FILE" type:"existingfile" sep:"none"`
	Threshold int      `help:"How many recovery keys it takes to replace lost keys." placeholder:"N"`
	newKeyFlags
	keyFlags
	ofTenant
	consent
}

// Help is shown below the flags.
func (keyAddCmd) Help() string {
	return `Keep recovery keys apart, on paper or in a safe: with two of three of them, lost keys are replaced.

Example, the first key of a tenant:
  demarc key generate sign --passphrase
  demarc key generate r1; demarc key generate r2; demarc key generate r3
  demarc key add sign.pub --recovery r1.pub --recovery r2.pub --recovery r3.pub --threshold 2`
}

type keyListCmd struct{ ofTenant }

type keyRemoveCmd struct {
	ID string `arg:"" name:"id" help:"Id of the key."`
	keyFlags
	ofTenant
	consent
}

type keyRotateCmd struct {
	ID     string `arg:"" name:"id" help:"Id of the key that goes."`
	Public string `arg:"" help:"Public half of the key that comes." type:"existingfile"`
	newKeyFlags
	keyFlags
	ofTenant
	consent
}

type keyRecoverCmd struct {
	Public string   `arg:"" help:"Public half of the key that comes." type:"existingfile"`
	Lost   []string `required:"" help:"Id of a key that is lost; repeatable." placeholder:"ID"`
	newKeyFlags
	keyFlags
	ofTenant
	consent
}

// Help is shown below the flags.
func (keyRecoverCmd) Help() string {
	return `The change waits until enough recovery keys have signed it; each signs with demarc sign.

Example:
  demarc key recover new.pub --lost k-12ab… --key r1
  demarc sign d-01jz… --key r3`
}

// Run makes a key.
func (c *keyGenerateCmd) Run(_ context.Context, s *session) error {
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return fmt.Errorf("making the key: %w", err)
	}
	var block *pem.Block
	if c.Passphrase {
		phrase, err := s.secret("DEMARC_KEY_PASSPHRASE", "Passphrase of the new key")
		if err != nil {
			return err
		}
		block, err = ssh.MarshalPrivateKeyWithPassphrase(private, "demarc", []byte(phrase))
		if err != nil {
			return fmt.Errorf("encrypting the key: %w", err)
		}
	} else if block, err = ssh.MarshalPrivateKey(private, "demarc"); err != nil {
		return fmt.Errorf("encoding the key: %w", err)
	}
	line, err := ssh.NewPublicKey(public)
	if err != nil {
		return fmt.Errorf("encoding the public key: %w", err)
	}
	if err := writeNew(c.File, pem.EncodeToMemory(block), 0o600); err != nil {
		return fmt.Errorf("keeping the key: %w", err)
	}
	if err := writeNew(c.File+".pub", ssh.MarshalAuthorizedKey(line), 0o644); err != nil {
		return fmt.Errorf("keeping the public key: %w", err)
	}
	raw, err := der(public)
	if err != nil {
		return err
	}
	s.note("%s: the private key is in %s, which nobody else may have; the public one in %s.pub", api.KeyID(raw), c.File, c.File)
	return nil
}

// writeNew writes a file that must not be there.
func writeNew(path string, data []byte, mode os.FileMode) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, mode)
	if errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("%s is there already", path)
	}
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	return errors.Join(err, f.Sync(), f.Close())
}

func signingKey(path string, f newKeyFlags) (api.NewKey, error) {
	raw, err := readBounded(path, keyLimit)
	if err != nil {
		return api.NewKey{}, fmt.Errorf("reading the public key: %w", err)
	}
	p, err := publicKey(raw)
	if err != nil {
		return api.NewKey{}, fmt.Errorf("reading the public key %s: %w", path, err)
	}
	public, err := der(p)
	return api.NewKey{Name: f.Name, Algorithm: "ed25519", Public: public, Kinds: f.Kinds}, err
}

// Run adds a key.
func (c *keyAddCmd) Run(ctx context.Context, s *session) error {
	k, err := signingKey(c.Public, c.newKeyFlags)
	if err != nil {
		return err
	}
	k.Holder = c.Holder
	in := api.ChangeKeys{Add: []api.NewKey{k}, Threshold: c.Threshold}
	var recovery []api.NewKey
	for _, path := range c.Recovery {
		r, err := signingKey(path, newKeyFlags{})
		if err != nil {
			return err
		}
		recovery = append(recovery, r)
	}
	if recovery != nil {
		in.Recovery = &recovery
	}
	return s.changeKeys(ctx, c.Tenant, in, c.keyFlags, c.consent)
}

// Run removes a key.
func (c *keyRemoveCmd) Run(ctx context.Context, s *session) error {
	return s.changeKeys(ctx, c.Tenant, api.ChangeKeys{Remove: []string{c.ID}}, c.keyFlags, c.consent)
}

// Run rotates a key.
func (c *keyRotateCmd) Run(ctx context.Context, s *session) error {
	k, err := signingKey(c.Public, c.newKeyFlags)
	if err != nil {
		return err
	}
	return s.changeKeys(ctx, c.Tenant, api.ChangeKeys{Add: []api.NewKey{k}, Remove: []string{c.ID}}, c.keyFlags, c.consent)
}

// Run recovers from the loss of keys.
func (c *keyRecoverCmd) Run(ctx context.Context, s *session) error {
	k, err := signingKey(c.Public, c.newKeyFlags)
	if err != nil {
		return err
	}
	return s.changeKeys(ctx, c.Tenant, api.ChangeKeys{Add: []api.NewKey{k}, Remove: c.Lost}, c.keyFlags, c.consent)
}

// changeKeys makes the first keys or proposes a change of them.
func (s *session) changeKeys(ctx context.Context, named string, in api.ChangeKeys, f keyFlags, ask consent) error {
	client, tenant, err := s.within(ctx, named)
	if err != nil {
		return err
	}
	out, err := client.ChangeKeys(ctx, tenant, in)
	if err != nil {
		return fmt.Errorf("changing the keys of tenant %s: %w", tenant, err)
	}
	if out.Decision != nil {
		return s.proposed(ctx, client, tenant, *out.Decision, f, ask, func(m api.Matter) bool { return m.Kind == "key-change" })
	}
	if out.KeySet == nil {
		return errors.New("the server answered with neither keys nor a decision")
	}
	return s.printKeys(*out.KeySet)
}

// keyLine is a key as a line of the list.
type keyLine struct {
	api.Key
	Use string `json:"use"`
}

var keyColumns = []column[keyLine]{
	{key: "id", head: "ID", text: func(v keyLine) string { return v.ID }},
	{key: "use", head: "USE", text: func(v keyLine) string { return v.Use }},
	{key: "name", head: "NAME", fit: cut, text: func(v keyLine) string { return v.Name }},
	{key: "algorithm", head: "ALGORITHM", text: func(v keyLine) string { return v.Algorithm }},
	{key: "holder", head: "HOLDER", fit: cut, text: func(v keyLine) string { return v.Holder }},
	{key: "kinds", head: "FOR", fit: flow, text: func(v keyLine) string {
		if len(v.Kinds) == 0 {
			return "everything"
		}
		return strings.Join(v.Kinds, " ")
	}},
}

// Run lists the keys.
func (c *keyListCmd) Run(ctx context.Context, s *session) error {
	client, tenant, err := s.within(ctx, c.Tenant)
	if err != nil {
		return err
	}
	set, err := client.Keys(ctx, tenant)
	if err != nil {
		return fmt.Errorf("reading the keys of tenant %s: %w", tenant, err)
	}
	if set.Version == 0 {
		if s.flags.Output != "table" {
			return s.printValue(set)
		}
		s.note("the tenant has no keys yet, so nothing can be signed: see demarc key add --help")
		return nil
	}
	return s.printKeys(set)
}

// printKeys shows a key set as its bytes say, with the digest worked out here.
func (s *session) printKeys(shown api.KeySet) error {
	set, err := api.ReadKeySet(shown.Canonical)
	if err != nil {
		return err
	}
	if set.Version != shown.Version {
		return errors.New("the server shows another key set than its bytes say")
	}
	if s.flags.Output == "json" || s.flags.Output == "yaml" {
		return s.printValue(set)
	}
	var lines []keyLine
	for _, k := range set.Keys {
		lines = append(lines, keyLine{k, "signs"})
	}
	for _, k := range set.Recovery {
		lines = append(lines, keyLine{k, "recovers"})
	}
	if err := printList(s, lines, keyColumns, ""); err != nil {
		return err
	}
	recovery := "without recovery keys: whoever loses all keys cannot replace them"
	if set.Threshold > 0 {
		recovery = fmt.Sprintf("%d of %d recovery keys replace lost ones", set.Threshold, len(set.Recovery))
	}
	for _, id := range shown.Left {
		s.note("\nthe holder of %s no longer acts for the tenant, and agents obey the key until it is removed: demarc key remove %s", clean(id), clean(id))
	}
	s.note("\nversion %d, %s", set.Version, recovery)
	kinds := make([]string, 0, len(set.Required))
	for kind := range set.Required {
		kinds = append(kinds, kind)
	}
	slices.Sort(kinds)
	for _, kind := range kinds {
		s.note("%d people sign each %s", set.Required[kind], kind)
	}
	s.note("digest, for demarc-agent enroll --customer-key and demarc-agent trust:\n%s", set.Digest)
	return nil
}
