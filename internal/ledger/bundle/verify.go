package bundle

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"filippo.io/torchwood"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/demarc/demarc/internal/ledger/entry"
	"github.com/demarc/demarc/internal/ledger/merkle"
)

// Options is what the verifier knows of its own. The more, the more is proven.
type Options struct {
	// Keys are verifier keys of the ledger, of which at least one must be in the
	// bundle's history; keys after it are followed through their rotations.
	Keys []string
	// Witnesses are verifier keys, of which at least Threshold must have cosigned.
	Witnesses []string
	Threshold int
	// Earlier is a checkpoint that the verifier kept: a signed note.
	Earlier []byte
}

// ErrInvalid is wrapped by every refusal of a bundle.
var ErrInvalid = errors.New("bundle does not verify")

func invalid(format string, args ...any) error {
	return fmt.Errorf("%w: %w", ErrInvalid, fmt.Errorf(format, args...))
}

// Verify reads a bundle and verifies all of it. An error that is not ErrInvalid
// is of reading r or of Options. The report says what is proven, and what is not.
func Verify(r io.Reader, o Options) (Report, error) {
	data, err := io.ReadAll(io.LimitReader(r, MaxBytes+1))
	if err != nil {
		return Report{}, fmt.Errorf("read the bundle: %w", err)
	}
	b, err := Parse(data)
	if err != nil {
		return Report{}, err
	}
	keys, err := parseKeys(b.Keys)
	if err != nil {
		return Report{}, err
	}
	pinned, err := keys.pinned(o.Keys)
	if err != nil {
		return Report{}, err
	}
	tree, cosigned, err := keys.cosigned(b, o)
	if err != nil {
		return Report{}, err
	}
	report := Report{
		Origin: tree.Origin, Size: tree.N, Root: base64.StdEncoding.EncodeToString(tree.Hash[:]),
		Tenant: b.Tenant, All: b.All, Witnesses: cosigned,
	}
	for _, k := range keys.signing(tree.N) {
		report.Keys = append(report.Keys, k.VKey)
	}
	if report.Entries, err = entries(b, tree); err != nil {
		return Report{}, err
	}
	if err := keys.history(b, tree, report.Entries); err != nil {
		return Report{}, err
	}
	if report.FirstSequence, report.LastSequence, err = sequences(b, report.Entries); err != nil {
		return Report{}, err
	}
	earlier, err := keys.earlier(b, tree, o)
	if err != nil {
		return Report{}, err
	}
	report.conclude(o, pinned, earlier)
	return report, nil
}

// Parse reads a bundle in its only form. It verifies nothing that the bundle says.
func Parse(data []byte) (*Bundle, error) {
	if len(data) > MaxBytes {
		return nil, invalid("it is larger than %d bytes", MaxBytes)
	}
	b := new(Bundle)
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.DisallowUnknownFields()
	if err := dec.Decode(b); err != nil {
		return nil, invalid("it is not the JSON of a bundle: %w", err)
	}
	if b.Format != Format {
		return nil, invalid("its format is %q; %q is known", b.Format, Format)
	}
	again, err := b.encode()
	if err != nil {
		return nil, invalid("%w", err)
	}
	if !bytes.Equal(again, data) {
		at := 0
		for at < min(len(again), len(data)) && again[at] == data[at] {
			at++
		}
		return nil, invalid("it is not written canonically at byte %d", at)
	}
	return b, nil
}

// entries verifies that all entries are in the tree.
func entries(b *Bundle, tree torchwood.Checkpoint) ([]Line, error) {
	lines := make([]Line, len(b.Entries))
	leaves := make([]merkle.Leaf, len(b.Entries))
	for i, e := range b.Entries {
		parsed, err := entry.Parse(e.Entry)
		if err != nil {
			return nil, invalid("entry %d: %w", e.Index, err)
		}
		if len(e.Salt) != entry.SaltSize {
			return nil, invalid("entry %d: its salt has %d bytes instead of %d", e.Index, len(e.Salt), entry.SaltSize)
		}
		if !b.All && parsed.Tenant != b.Tenant && !isKeyEntry(parsed) {
			return nil, invalid("entry %d: it is of tenant %q", e.Index, parsed.Tenant)
		}
		lines[i] = Line{Index: e.Index, Entry: parsed}
		leaves[i] = merkle.Leaf{Index: e.Index, Hash: entry.Commit(e.Salt, e.Entry).Leaf()}
	}
	proof, err := merkle.Hashes(b.Proof)
	if err != nil {
		return nil, invalid("proof: %w", err)
	}
	root, err := merkle.MultiproofRoot(tree.N, leaves, proof)
	if err != nil {
		return nil, invalid("entries: %w", err)
	}
	if root != tree.Hash {
		return nil, invalid("entries: together with the proof they do not give the root of the signed tree: an entry, a salt or the proof was changed")
	}
	return lines, nil
}

// sequences verifies that no entry of a tenant is withheld between two that are
// shown, and returns the first and last of the bundle's own tenant.
func sequences(b *Bundle, lines []Line) (first, last int64, err error) {
	type seen struct {
		last  int64
		other bool // than entries about keys, which are shown from the beginning
	}
	tenants := map[string]seen{}
	for _, l := range lines {
		s := tenants[l.Tenant]
		if s.other && l.Sequence != s.last+1 {
			return 0, 0, invalid("entry %d: number %d of tenant %q follows number %d: an entry is withheld", l.Index, l.Sequence, l.Tenant, s.last)
		}
		if l.Sequence <= s.last {
			return 0, 0, invalid("entry %d: number %d of tenant %q comes again", l.Index, l.Sequence, l.Tenant)
		}
		if l.Tenant == b.Tenant && !b.All {
			if first == 0 || !s.other && l.Sequence != s.last+1 {
				first = l.Sequence
			}
			last = l.Sequence
		}
		s.last = l.Sequence
		s.other = s.other || !isKeyEntry(l.Entry)
		tenants[l.Tenant] = s
	}
	if !b.All && last == 0 {
		return 0, 0, invalid("it shows no entry of tenant %q", b.Tenant)
	}
	return first, last, nil
}

// linked verifies that the bundle's tree continues another.
func linked(old torchwood.Checkpoint, proof []byte, tree torchwood.Checkpoint) error {
	hashes, err := merkle.Hashes(proof)
	if err != nil {
		return err
	}
	if old.N < 1 || old.N > tree.N {
		return fmt.Errorf("a tree of %d entries cannot be continued by one of %d", old.N, tree.N)
	}
	if err := tlog.CheckTree(hashes, tree.N, tree.Hash, old.N, old.Hash); err != nil {
		return fmt.Errorf("the tree does not continue that of %d entries", old.N)
	}
	return nil
}
