package observer

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"math/bits"
	"path"
	"slices"
	"strings"

	"github.com/demarc/demarc/internal/service/telemetry"
)

const (
	maxKeys = 3000
	minRSA  = 3072 // bits; NIST SP 800-57 part 1, 128-bit strength
)

func collectKeys(ctx context.Context, p *probe) (any, error) {
	acc, err := p.accounts()
	if err != nil {
		return nil, fmt.Errorf("the accounts cannot be read: %w", err)
	}
	if c := p.sshdSettings().last("authorizedkeyscommand"); c != "" && c != "none" {
		p.gap("keys that AuthorizedKeysCommand of sshd gives out are not seen, only those in files")
	}
	var f telemetry.AuthorizedKeys
	holders := map[string][]string{}
	for _, u := range acc.users {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		for _, file := range p.keyFiles(u) {
			info, err := p.stat(file)
			if err != nil {
				p.gapUnlessAbsent(plain(file, err))
				continue
			}
			if info.Mode().Perm()&0o022 != 0 {
				f.WorldWritable = append(f.WorldWritable, file)
			}
			b, err := p.read(file)
			if err != nil {
				p.gapUnlessAbsent(err)
				continue
			}
			for _, k := range parseAuthorizedKeys(b) {
				if len(f.Keys) == maxKeys {
					p.gap("only the first %d authorized keys are looked at", maxKeys)
					break
				}
				k.User = u.name
				f.Keys = append(f.Keys, k)
				if !slices.Contains(holders[k.Fingerprint], u.name) {
					holders[k.Fingerprint] = append(holders[k.Fingerprint], u.name)
				}
				if weakKey(k) {
					f.WeakKeys = append(f.WeakKeys, k.Fingerprint)
				}
			}
		}
	}
	for fp, users := range holders {
		if len(users) > 1 {
			f.SharedKeys = append(f.SharedKeys, fp)
		}
	}
	slices.SortFunc(f.Keys, func(a, b telemetry.AuthorizedKey) int {
		return cmp.Or(strings.Compare(a.User, b.User), strings.Compare(a.Fingerprint, b.Fingerprint), strings.Compare(a.Comment, b.Comment))
	})
	f.SharedKeys, f.WeakKeys, f.WorldWritable = uniq(f.SharedKeys), uniq(f.WeakKeys), uniq(f.WorldWritable)
	return f, nil
}

func (p *probe) gapUnlessAbsent(err error) {
	if !absent(err) {
		p.gap("%s", err)
	}
}

// keyFiles resolves AuthorizedKeysFile of sshd_config(5) for one user.
func (p *probe) keyFiles(u account) []string {
	patterns := strings.Fields(p.sshdSettings().last("authorizedkeysfile"))
	var out []string
	for _, pattern := range patterns {
		if strings.EqualFold(pattern, "none") {
			continue
		}
		file := strings.NewReplacer("%%", "%", "%h", u.home, "%u", u.name, "%U", fmt.Sprint(u.uid)).Replace(pattern)
		if !path.IsAbs(file) {
			file = path.Join(u.home, file)
		}
		// Accounts without a home share "/" or a directory that does not exist.
		if file = path.Clean(file); !slices.Contains(out, file) {
			out = append(out, file)
		}
	}
	return out
}

// keyHolders are the accounts that some key opens.
func (p *probe) keyHolders() map[string]bool {
	out := map[string]bool{}
	acc, err := p.accounts()
	if err != nil {
		return out
	}
	for _, u := range acc.users {
		for _, file := range p.keyFiles(u) {
			if out[u.name] {
				break
			}
			n, err := remember(p, "keys "+file, p.stamp(file), func() (int, error) {
				b, err := p.read(file)
				return len(parseAuthorizedKeys(b)), err
			})
			if err != nil {
				p.gapUnlessAbsent(err)
			}
			out[u.name] = n > 0
		}
	}
	return out
}

func weakKey(k telemetry.AuthorizedKey) bool {
	switch k.Type {
	case "ssh-dss", "ssh-dss-cert-v01@openssh.com":
		return true
	case "ssh-rsa", "ssh-rsa-cert-v01@openssh.com":
		return k.Bits < minRSA
	}
	return false
}

// parseAuthorizedKeys parses the AUTHORIZED_KEYS FILE FORMAT of sshd(8). Lines
// that hold no key are skipped, as sshd does.
func parseAuthorizedKeys(b []byte) []telemetry.AuthorizedKey {
	var out []telemetry.AuthorizedKey
	lines(b, func(_ int, line string) {
		if line == "" || line[0] == '#' || len(out) >= maxKeys {
			return
		}
		k, ok := parseKey(line)
		if !ok {
			options, rest := cutOptions(line)
			if k, ok = parseKey(rest); !ok {
				return
			}
			for _, o := range splitList(options) {
				name, value, _ := strings.Cut(o, "=")
				switch strings.ToLower(strings.TrimSpace(name)) {
				case "command":
					k.Command = true
				case "from":
					k.From = strings.Trim(value, `"`)
				case "cert-authority":
					k.Type = "cert-authority " + k.Type
				}
			}
		}
		out = append(out, k)
	})
	return out
}

// cutOptions splits the options off; blanks inside quotes belong to them.
func cutOptions(line string) (options, rest string) {
	quoted := false
	for i := 0; i < len(line); i++ {
		switch c := line[i]; {
		case c == '\\' && quoted:
			i++
		case c == '"':
			quoted = !quoted
		case (c == ' ' || c == '\t') && !quoted:
			return line[:i], strings.TrimSpace(line[i:])
		}
	}
	return "", line
}

func parseKey(s string) (k telemetry.AuthorizedKey, ok bool) {
	kind, rest := cutWord(s)
	encoded, comment := cutWord(rest)
	blob, err := base64.StdEncoding.DecodeString(encoded)
	if err != nil || len(blob) < 4 {
		return k, false
	}
	inner, fields, ok := cutWire(blob)
	if !ok || string(inner) != kind {
		return k, false
	}
	sum := sha256.Sum256(blob)
	return telemetry.AuthorizedKey{
		Type: kind, Bits: keyBits(kind, fields), Comment: comment,
		Fingerprint: "SHA256:" + base64.RawStdEncoding.EncodeToString(sum[:]),
	}, true
}

// cutWire splits off a string of the SSH wire format (RFC 4251 section 5).
func cutWire(b []byte) (s, rest []byte, ok bool) {
	if len(b) < 4 {
		return nil, nil, false
	}
	n := binary.BigEndian.Uint32(b)
	if uint64(n) > uint64(len(b)-4) {
		return nil, nil, false
	}
	return b[4 : 4+n], b[4+n:], true
}

// keyBits is the size of a key, 0 if its type is unknown. A certificate holds
// a nonce before the key.
func keyBits(kind string, fields []byte) int {
	if strings.HasSuffix(kind, "-cert-v01@openssh.com") {
		_, fields, _ = cutWire(fields)
	}
	switch {
	case strings.Contains(kind, "ed25519"):
		return 256
	case strings.Contains(kind, "nistp256"):
		return 256
	case strings.Contains(kind, "nistp384"):
		return 384
	case strings.Contains(kind, "nistp521"):
		return 521
	case strings.HasPrefix(kind, "ssh-rsa"): // e, n
		_, rest, _ := cutWire(fields)
		n, _, _ := cutWire(rest)
		return bitLength(n)
	case strings.HasPrefix(kind, "ssh-dss"): // p, ...
		n, _, _ := cutWire(fields)
		return bitLength(n)
	}
	return 0
}

func bitLength(n []byte) int {
	for len(n) > 0 && n[0] == 0 {
		n = n[1:]
	}
	if len(n) == 0 {
		return 0
	}
	return (len(n)-1)*8 + bits.Len8(n[0])
}
