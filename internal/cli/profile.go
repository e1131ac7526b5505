package cli

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// Profile is what a client keeps between commands, as JSON in a file. Token
// and CA are used with Server only, never with an address given elsewhere.
type Profile struct {
	// Server is its address, as https://host:port.
	Server string `json:"server,omitempty"`
	// Token signs in. At most one of Token and TokenFile is set.
	Token string `json:"token,omitempty"`
	// TokenFile is the path of a file with the token in its first line,
	// relative to the profile's folder.
	TokenFile string `json:"token_file,omitempty"`
	// CA is the PEM of the certificate authorities that Server is trusted by;
	// empty means the machine's.
	CA string `json:"ca,omitempty"`
	// Tenant is used where a command needs one and none was named.
	Tenant string `json:"tenant,omitempty"`
}

// profileLimit bounds a profile or token file, in bytes.
const profileLimit = 1 << 20

// LoadProfile reads a profile. A missing file is an error that matches
// fs.ErrNotExist; an unknown key, and a token that other users of the machine
// may read, are errors too.
func LoadProfile(path string) (Profile, error) {
	var p Profile
	raw, mode, err := readSmall(path)
	if err != nil {
		return p, fmt.Errorf("reading profile: %w", err)
	}
	d := json.NewDecoder(bytes.NewReader(raw))
	d.DisallowUnknownFields()
	if err := d.Decode(&p); err != nil {
		return p, fmt.Errorf("reading profile %s: %w", path, err)
	}
	if p.Token != "" && p.TokenFile != "" {
		return p, fmt.Errorf("profile %s has both token and token_file; remove one", path)
	}
	if p.Token != "" {
		if err := private(path, mode); err != nil {
			return p, err
		}
	}
	if p.TokenFile != "" && !filepath.IsAbs(p.TokenFile) {
		p.TokenFile = filepath.Join(filepath.Dir(path), p.TokenFile)
	}
	return p, nil
}

// Save replaces the profile at path, readable by its owner only. After a crash
// the old or the new one is there, whole.
func (p Profile) Save(path string) error {
	raw, err := json.MarshalIndent(p, "", "  ")
	if err != nil {
		return fmt.Errorf("encoding profile: %w", err)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return fmt.Errorf("saving profile: %w", err)
	}
	return replaceFile(path, func(f *os.File) error {
		_, err := f.Write(append(raw, '\n'))
		return err
	})
}

// token reads the profile's token, wherever it is.
func (p Profile) token() (string, error) {
	if p.TokenFile == "" {
		return p.Token, nil
	}
	raw, mode, err := readSmall(p.TokenFile)
	if err != nil {
		return "", fmt.Errorf("reading the token: %w", err)
	}
	if err := private(p.TokenFile, mode); err != nil {
		return "", err
	}
	first, _, _ := strings.Cut(string(raw), "\n")
	return strings.TrimSpace(first), nil
}

func private(path string, mode fs.FileMode) error {
	if mode.Perm()&0o077 == 0 {
		return nil
	}
	return &fault{code: ExitFailure, next: "chmod 600 " + path,
		err: fmt.Errorf("%s holds a token and has mode %#o: other users of this machine may read it", path, mode.Perm())}
}

func readSmall(path string) ([]byte, fs.FileMode, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, 0, err
	}
	if !info.Mode().IsRegular() || info.Size() > profileLimit {
		return nil, 0, fmt.Errorf("%s is not a regular file of at most 1 MiB", path)
	}
	raw, err := os.ReadFile(path)
	return raw, info.Mode(), err
}

// profilePath is where the profile is: named by flag or environment, else the
// default, and then it may be missing.
func (s *session) profilePath() (path string, named bool, err error) {
	if s.flags.Profile != "" {
		return s.flags.Profile, true, nil
	}
	if path = s.env("DEMARC_PROFILE"); path != "" {
		return path, true, nil
	}
	if path = DefaultProfile(s.env); path == "" {
		return "", false, usage("name a profile with --profile or DEMARC_PROFILE",
			"neither XDG_CONFIG_HOME nor HOME is set, so there is no place for a profile")
	}
	return path, false, nil
}

// DefaultProfile is where the profile of the user is kept; empty if the
// environment names no place for it.
func DefaultProfile(env func(string) string) string {
	base := env("XDG_CONFIG_HOME")
	if base == "" {
		home := env("HOME")
		if home == "" {
			return ""
		}
		base = filepath.Join(home, ".config")
	}
	return filepath.Join(base, "demarc", "client.json")
}

// profile reads the profile; a missing one is empty unless it was named.
func (s *session) profile() (Profile, error) {
	path, named, err := s.profilePath()
	if err != nil {
		return Profile{}, nil // no home: flags and environment have to do
	}
	p, err := LoadProfile(path)
	if errors.Is(err, fs.ErrNotExist) && !named {
		return Profile{}, nil
	}
	return p, err
}
