package observer

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// maxAccounts bounds the accounts and groups of one fact.
const maxAccounts = 2000

// accounts is what the local account files say (passwd(5), shadow(5), group(5)).
type accounts struct {
	users  []account
	groups []group
	// shadowErr is why the password states are not known, or nil.
	shadowErr error
	byUID     map[int]string
	byGID     map[int]string
}

type account struct {
	name, password, home, shell string
	uid, gid                    int
	shadow                      *shadow
}

// shadow is a line of shadow(5); days count from 1970-01-01, -1 if not set.
type shadow struct {
	hash                      string
	changed, maxDays, expires int
}

type group struct {
	name    string
	gid     int
	members []string
}

// accounts parses the account files, again only when one of them changed.
func (p *probe) accounts() (*accounts, error) {
	stamp := p.stamp("/etc/passwd", "/etc/group", "/etc/shadow")
	return remember(p, "accounts", stamp, func() (*accounts, error) {
		passwd, err := p.read("/etc/passwd")
		if err != nil {
			return nil, err
		}
		groups, err := p.read("/etc/group")
		if err != nil && !absent(err) {
			return nil, err
		}
		a := &accounts{users: parsePasswd(passwd), groups: parseGroup(groups), byUID: map[int]string{}, byGID: map[int]string{}}
		b, err := p.read("/etc/shadow")
		a.shadowErr = err
		states := parseShadow(b)
		for i := range a.users {
			u := &a.users[i]
			if s, ok := states[u.name]; ok {
				u.shadow = &s
			}
			if _, ok := a.byUID[u.uid]; !ok {
				a.byUID[u.uid] = u.name
			}
		}
		for _, g := range a.groups {
			if _, ok := a.byGID[g.gid]; !ok {
				a.byGID[g.gid] = g.name
			}
		}
		return a, nil
	})
}

// directoryGap notes that accounts of a directory service are not looked at,
// where one is in use.
func (p *probe) directoryGap() {
	if d, ok := p.process("sssd", "nslcd", "winbindd", "ypbind"); ok {
		p.gap("accounts and groups of the directory service behind %s are not seen, only local ones", d.comm)
	}
}

// userName is the name of a uid, or its number.
func (a *accounts) userName(uid int) string {
	if n, ok := a.byUID[uid]; ok {
		return n
	}
	return strconv.Itoa(uid)
}

func (a *accounts) groupName(gid int) string {
	if n, ok := a.byGID[gid]; ok {
		return n
	}
	return strconv.Itoa(gid)
}

// groupsOf returns the names of the groups that a user belongs to.
func (a *accounts) groupsOf(u account) []string {
	var out []string
	for _, g := range a.groups {
		if g.gid == u.gid {
			out = append(out, g.name)
			continue
		}
		for _, m := range g.members {
			if m == u.name {
				out = append(out, g.name)
				break
			}
		}
	}
	return out
}

// parsePasswd parses passwd(5). Lines that are no accounts are skipped, as the
// C library does; NIS lines (+ and -) too.
func parsePasswd(b []byte) []account {
	var out []account
	lines(b, func(_ int, line string) {
		f := strings.Split(line, ":")
		if len(f) < 7 || f[0] == "" || strings.HasPrefix(f[0], "#") || strings.HasPrefix(f[0], "+") || strings.HasPrefix(f[0], "-") {
			return
		}
		uid, err1 := strconv.ParseUint(f[2], 10, 32)
		gid, err2 := strconv.ParseUint(f[3], 10, 32)
		if err1 != nil || err2 != nil || len(out) >= maxAccounts {
			return
		}
		out = append(out, account{name: f[0], password: f[1], uid: int(uid), gid: int(gid), home: f[5], shell: f[6]})
	})
	return out
}

func parseGroup(b []byte) []group {
	var out []group
	lines(b, func(_ int, line string) {
		f := strings.Split(line, ":")
		if len(f) < 4 || f[0] == "" || strings.HasPrefix(f[0], "#") || len(out) >= maxAccounts {
			return
		}
		gid, err := strconv.ParseUint(f[2], 10, 32)
		if err != nil {
			return
		}
		g := group{name: f[0], gid: int(gid)}
		for m := range strings.SplitSeq(f[3], ",") {
			if m = strings.TrimSpace(m); m != "" && len(g.members) < maxAccounts {
				g.members = append(g.members, m)
			}
		}
		out = append(out, g)
	})
	return out
}

func parseShadow(b []byte) map[string]shadow {
	out := map[string]shadow{}
	lines(b, func(_ int, line string) {
		f := strings.Split(line, ":")
		if len(f) < 8 || f[0] == "" || strings.HasPrefix(f[0], "#") || len(out) >= maxAccounts {
			return
		}
		out[f[0]] = shadow{hash: f[1], changed: dayNumber(f[2]), maxDays: dayNumber(f[4]), expires: dayNumber(f[7])}
	})
	return out
}

// dayNumber parses a count of days; -1 stands for none.
func dayNumber(s string) int {
	n, err := strconv.Atoi(s)
	if err != nil || n < 0 || n > 1<<24 {
		return -1
	}
	return n
}

// day is the date of a day number of shadow(5), zero for none.
func day(n int) time.Time {
	if n <= 0 {
		return time.Time{}
	}
	return time.Unix(int64(n)*86400, 0).UTC()
}

// passwordState sorts a password field into set, locked, empty, none and unknown.
func (u account) passwordState(shadowErr error) string {
	field := u.password
	if field == "x" || strings.HasPrefix(field, "##") {
		switch {
		case u.shadow != nil:
			field = u.shadow.hash
		case shadowErr != nil && !absent(shadowErr):
			return "unknown"
		default:
			return "none"
		}
	}
	switch {
	case field == "":
		return "empty"
	case strings.HasPrefix(field, "!"):
		return "locked"
	case strings.HasPrefix(field, "$"), strings.HasPrefix(field, "_") && len(field) == 20, len(field) == 13:
		return "set"
	}
	return "none"
}

// hash is the password hash that counts, "" if it is elsewhere or unknown.
func (u account) hash() string {
	if u.password == "x" && u.shadow != nil {
		return u.shadow.hash
	}
	return u.password
}

// weakHash reports DES, MD5 and SHA-1 hashes of crypt(5).
func weakHash(hash string) bool {
	return strings.HasPrefix(hash, "$1$") || strings.HasPrefix(hash, "$md5") || strings.HasPrefix(hash, "$sha1$") ||
		strings.HasPrefix(hash, "$3$") || !strings.HasPrefix(hash, "$")
}

// loginShell reports whether a shell lets somebody work. An empty one means /bin/sh.
func loginShell(shell string) bool {
	switch shell[strings.LastIndexByte(shell, '/')+1:] {
	case "nologin", "false", "true", "sync", "shutdown", "halt", "git-shell":
		return false
	}
	return true
}

// uidMin is UID_MIN of login.defs(5), the least uid of a person's account.
func (p *probe) uidMin() int {
	if n, err := strconv.Atoi(p.loginDefs()["UID_MIN"]); err == nil && n > 0 {
		return n
	}
	return 1000
}

// loginDefs parses login.defs(5).
func (p *probe) loginDefs() map[string]string {
	m, _ := remember(p, "login.defs", p.stamp("/etc/login.defs"), func() (map[string]string, error) {
		b, err := p.read("/etc/login.defs")
		if err != nil && !absent(err) {
			return nil, fmt.Errorf("login.defs: %w", err)
		}
		return parseLoginDefs(b), nil
	})
	return m
}

func parseLoginDefs(b []byte) map[string]string {
	out := map[string]string{}
	lines(b, func(_ int, line string) {
		if strings.HasPrefix(line, "#") || len(out) > 500 {
			return
		}
		if f := strings.Fields(line); len(f) >= 2 {
			out[f[0]] = strings.Trim(f[1], `"`)
		}
	})
	return out
}
