package observer

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/demarc/demarc/internal/service/telemetry"
)

const (
	dormantAfter = 90 * 24 * time.Hour
	neverExpires = 99999 // the customary "no maximum" of shadow(5)
)

func collectUsers(_ context.Context, p *probe) (any, error) {
	acc, err := p.accounts()
	if err != nil {
		return nil, fmt.Errorf("the accounts cannot be read: %w", err)
	}
	if acc.shadowErr != nil && !absent(acc.shadowErr) {
		p.gap("the state of passwords is not seen: %s", acc.shadowErr)
	}
	if len(acc.users) == maxAccounts {
		p.gap("only the first %d accounts are looked at", maxAccounts)
	}
	p.directoryGap()
	keys := p.keyHolders()
	admins := p.administrators(acc)
	logins, loginsKnown := p.lastLogins(acc)
	if !loginsKnown {
		p.gap("when accounts were last used is not seen: there is neither /var/log/lastlog nor /var/log/wtmp")
	}
	uidMin, now := p.uidMin(), p.now()
	f := telemetry.Users{ShadowReadable: acc.shadowErr == nil}
	names, uids := map[string]int{}, map[int]int{}
	for _, a := range acc.users {
		u := telemetry.User{
			Name: a.name, UID: a.uid, GID: a.gid, Home: a.home, Shell: a.shell,
			Password: a.passwordState(acc.shadowErr), MaxDays: -1,
			Admin: a.uid == 0 || admins[a.name], LastLogin: logins[a.name],
		}
		if s := a.shadow; s != nil {
			u.PasswordChanged, u.Expires = day(s.changed), day(s.expires)
			if s.maxDays >= 0 && s.maxDays < neverExpires {
				u.MaxDays = s.maxDays
			}
			u.MustChange = s.changed == 0
		}
		expired := u.Password == "set" && u.MaxDays >= 0 && !u.PasswordChanged.IsZero() && now.After(u.PasswordChanged.AddDate(0, 0, u.MaxDays+1))
		shell := loginShell(a.shell)
		gone := !u.Expires.IsZero() && now.After(u.Expires)
		u.CanLogin = shell && !gone && (u.Password == "set" || u.Password == "empty" || keys[a.name])
		if a.uid == 0 || a.uid >= uidMin {
			if info, err := p.stat(a.home); err == nil && a.home != "/" && info.IsDir() {
				u.HomeMode = fmt.Sprintf("%04o", unixMode(info.Mode()))
			}
		}
		add := func(list *[]string, when bool) {
			if when {
				*list = append(*list, a.name)
			}
		}
		add(&f.UIDZero, a.uid == 0)
		add(&f.LoginUsers, u.CanLogin)
		add(&f.EmptyPasswords, u.Password == "empty")
		add(&f.SystemWithShell, a.uid != 0 && a.uid < uidMin && shell)
		add(&f.PasswordExpired, u.MustChange || expired)
		add(&f.WeakHashes, u.Password == "set" && weakHash(a.hash()))
		add(&f.Dormant, loginsKnown && dormant(u, now))
		if u.CanLogin && u.Password == "set" && !u.PasswordChanged.IsZero() {
			f.OldestPasswordDays = max(f.OldestPasswordDays, int(now.Sub(u.PasswordChanged).Hours()/24))
		}
		if uids[a.uid]++; uids[a.uid] == 2 {
			f.DuplicateUIDs = append(f.DuplicateUIDs, a.uid)
		}
		if names[a.name]++; names[a.name] == 2 {
			f.DuplicateNames = append(f.DuplicateNames, a.name)
		}
		f.Users = append(f.Users, u)
	}
	slices.SortFunc(f.Users, func(a, b telemetry.User) int {
		return cmp.Or(cmp.Compare(a.UID, b.UID), strings.Compare(a.Name, b.Name))
	})
	for _, l := range []*[]string{&f.UIDZero, &f.LoginUsers, &f.EmptyPasswords, &f.SystemWithShell, &f.PasswordExpired, &f.WeakHashes, &f.Dormant, &f.DuplicateNames} {
		*l = uniq(*l) // an account may be there twice
	}
	slices.Sort(f.DuplicateUIDs)
	return f, nil
}

// dormant reports a login account unused for the period. One that was never
// used counts from the last change of its password.
func dormant(u telemetry.User, now time.Time) bool {
	last := u.LastLogin
	if u.PasswordChanged.After(last) {
		last = u.PasswordChanged
	}
	return u.CanLogin && !last.IsZero() && now.Sub(last) > dormantAfter
}

// administrators are the users with full sudo rights by name or group.
func (p *probe) administrators(acc *accounts) map[string]bool {
	out := map[string]bool{}
	s, err := p.sudoers()
	if err != nil {
		if !absent(err) {
			p.gap("who has sudo rights is not seen: %s", err)
		}
		return out
	}
	full := s.fullRights()
	for _, u := range acc.users {
		out[u.name] = slices.Contains(full, u.name) || slices.Contains(full, "ALL")
		for _, g := range acc.groupsOf(u) {
			if slices.Contains(full, "%"+g) {
				out[u.name] = true
			}
		}
	}
	return out
}

func collectGroups(_ context.Context, p *probe) (any, error) {
	acc, err := p.accounts()
	if err != nil {
		return nil, fmt.Errorf("the groups cannot be read: %w", err)
	}
	p.directoryGap()
	if len(acc.groups) == maxAccounts {
		p.gap("only the first %d groups are looked at", maxAccounts)
	}
	var f telemetry.Groups
	gids := map[int]int{}
	for _, g := range acc.groups {
		f.Groups = append(f.Groups, telemetry.Group{Name: g.name, GID: g.gid, Members: uniq(slices.Clone(g.members))})
		if gids[g.gid]++; gids[g.gid] == 2 {
			f.DuplicateGIDs = append(f.DuplicateGIDs, g.gid)
		}
		if !privilegedGroup(g.name) {
			continue
		}
		for _, m := range g.members {
			f.Privileged = append(f.Privileged, g.name+":"+m)
		}
		for _, u := range acc.users {
			if u.gid == g.gid && u.uid != 0 {
				f.Privileged = append(f.Privileged, g.name+":"+u.name)
			}
		}
	}
	slices.SortFunc(f.Groups, func(a, b telemetry.Group) int {
		return cmp.Or(cmp.Compare(a.GID, b.GID), strings.Compare(a.Name, b.Name))
	})
	f.Privileged = uniq(f.Privileged)
	slices.Sort(f.DuplicateGIDs)
	return f, nil
}

// privilegedGroup reports groups whose members can become root: by sudo, by a
// container or hypervisor daemon, or by raw access to disks or password hashes.
func privilegedGroup(name string) bool {
	switch name {
	case "root", "sudo", "wheel", "admin", "docker", "podman", "lxd", "incus", "incus-admin", "libvirt", "disk", "shadow", "kmem":
		return true
	}
	return false
}
