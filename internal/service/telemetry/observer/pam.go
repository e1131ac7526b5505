package observer

import (
	"path"
	"strings"
)

const (
	maxPAMDepth   = 8
	maxPAMEntries = 500
)

// pamEntry is one line of pam.conf(5) after includes are resolved.
type pamEntry struct {
	kind    string // auth, account, password, session
	control string
	module  string // file name without directories
	args    []string
}

// has reports whether an argument is given, as NAME or NAME=value.
func (e pamEntry) has(name string) bool {
	_, ok := e.arg(name)
	return ok
}

func (e pamEntry) arg(name string) (string, bool) {
	for _, a := range e.args {
		key, value, _ := strings.Cut(a, "=")
		if key == name {
			return value, true
		}
	}
	return "", false
}

// mandatory reports whether the service cannot be passed without this module:
// required, requisite, or a control in brackets whose default dies or is bad.
func (e pamEntry) mandatory() bool {
	switch c := strings.ToLower(e.control); {
	case c == "required", c == "requisite":
		return true
	case strings.HasPrefix(c, "["):
		return strings.Contains(c, "default=die") || strings.Contains(c, "default=bad")
	}
	return false
}

// pam returns the entries of a service with everything that it includes.
func (p *probe) pam(service string) []pamEntry {
	out, _ := p.pamStack(service, "", 0)
	return out
}

func (p *probe) pamStack(service, only string, depth int) (out []pamEntry, ok bool) {
	if depth > maxPAMDepth || strings.Contains(service, "..") {
		return nil, false
	}
	name := p.anyExists(path.Join("/etc/pam.d", service), path.Join("/usr/lib/pam.d", service), path.Join("/usr/etc/pam.d", service))
	if strings.HasPrefix(service, "/") {
		name = service
	}
	if name == "" {
		return nil, false
	}
	for _, e := range parsePAM([]byte(p.config(name))) {
		if len(out) >= maxPAMEntries {
			break
		}
		if e.kind != "" && only != "" && e.kind != only {
			continue
		}
		switch e.control {
		case "include", "substack", "@include":
			kind := e.kind
			if e.control == "@include" {
				kind = only
			}
			included, _ := p.pamStack(e.module, kind, depth+1)
			out = append(out, included...)
		default:
			e.module = path.Base(e.module)
			out = append(out, e)
		}
	}
	return out, true
}

// parsePAM parses a file of /etc/pam.d. An "@include x" line becomes an entry
// without a kind and with the control "@include".
func parsePAM(b []byte) []pamEntry {
	var out []pamEntry
	for _, l := range joinedLines(b) {
		if rest, ok := strings.CutPrefix(l, "@include"); ok {
			if f := strings.Fields(rest); len(f) > 0 {
				out = append(out, pamEntry{control: "@include", module: f[0]})
			}
			continue
		}
		kind, rest := cutWord(l)
		kind = strings.ToLower(strings.TrimPrefix(kind, "-"))
		switch kind {
		case "auth", "account", "password", "session":
		default:
			continue
		}
		var control string
		if strings.HasPrefix(rest, "[") {
			end := strings.IndexByte(rest, ']')
			if end < 0 {
				continue
			}
			control, rest = rest[:end+1], strings.TrimSpace(rest[end+1:])
		} else {
			control, rest = cutWord(rest)
		}
		module, args := cutWord(rest)
		if module == "" || len(out) >= maxPAMEntries {
			continue
		}
		out = append(out, pamEntry{kind, control, module, strings.Fields(args)})
	}
	return out
}

// joinedLines joins lines that end in a backslash, drops comments after '#',
// and drops empty lines.
func joinedLines(b []byte) []string {
	var out []string
	joined := ""
	lines(b, func(_ int, line string) {
		if part, ok := strings.CutSuffix(line, `\`); ok && len(joined) < 64<<10 {
			joined += part + " "
			return
		}
		line = joined + line
		joined = ""
		line, _, _ = strings.Cut(line, "#")
		if line = strings.TrimSpace(line); line != "" {
			out = append(out, line)
		}
	})
	return out
}

func cutWord(s string) (word, rest string) {
	s = strings.TrimLeft(s, " \t")
	i := strings.IndexAny(s, " \t")
	if i < 0 {
		return s, ""
	}
	return s[:i], strings.TrimLeft(s[i:], " \t")
}
