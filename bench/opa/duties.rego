# The duties of main.go, translated by hand from the built-in catalogue.
package demarc

# All VMs in one query, or one VM.
verdicts[vm] := duties(f) if some vm, f in input.vms

one := duties(input.vm)

duties(f) := {
	"CLD.12.1.5/C-5.2a": passwords(f),
	"CLD.12.1.5/C-5.2b": verdict(own_accounts(f)),
	"CLD.12.1.5/C-5.3a": verdict(audited(f)),
	"CLD.12.1.5/C-5.4b": remote(f),
	"CLD.12.4.5/C-6.4a": verdict(backups_verified(f)),
	"CLD.6.3.1/C-1.2a": verdict(patched(f)),
	"CLD.6.3.1/C-1.2b": verdict(antimalware(f)),
	"CLD.6.3.1/C-1.4a": verdict(accounts(f)),
	"CLD.6.3.1/C-1.4b": factors(f),
	"CLD.9.5.1/C-3.2b": databases(f),
	"CLD.9.5.2/C-4.2b": verdict(scanned(f)),
	"CLD.9.5.2/C-4.4a": verdict(firewall(f)),
}

verdict(met) := "met" if met

verdict(met) := "not-met" if not met

default password_login(_) := false

password_login(f) if {
	some u in f["host.users"].users
	u.can_login
	u.password == "set"
}

default good_passwords(_) := false

good_passwords(f) if {
	count(f["host.authorized_keys"].weak_keys) == 0
	not password_login(f)
}

good_passwords(f) if {
	count(f["host.authorized_keys"].weak_keys) == 0
	f["host.users"].oldest_password_days <= 365
	p := f["host.password_policy"]
	p.quality
	p.min_length >= 12
	p.max_days > 0
	p.max_days <= 365
	not p.nullok
}

passwords(f) := "not-applicable" if {
	count(f["host.users"].login_users) == 0
} else := verdict(good_passwords(f))

default own_accounts(_) := false

own_accounts(f) if {
	l := f["host.logins"]
	l.available
	count(l.shared_accounts) == 0
	count(f["host.authorized_keys"].shared_keys) == 0
	l.root_logins == 0
}

default audited(_) := false

audited(f) if {
	l := f["host.logging"]
	l.audit_running
	l.audit_privileged
	count(l.remote_targets) > 0
}

audited(f) if {
	l := f["host.logging"]
	l.audit_running
	l.audit_privileged
	l.journal_remote
}

default remote_desktop(_) := false

remote_desktop(f) if {
	some l in f["host.listeners"].listeners
	l.port == 3389
	not l.loopback
}

default keys_only(_) := false

keys_only(s) if {
	not s.password_authentication
	not s.kbd_interactive
}

keys_only(s) if {
	s.authentication_methods != ""
	every m in split(s.authentication_methods, " ") { contains(m, "publickey") }
}

default safe_ssh(_) := false

safe_ssh(s) if not s.running

safe_ssh(s) if {
	s.pubkey_authentication
	not s.permit_empty_passwords
	s.permit_root_login != "yes"
	keys_only(s)
}

default safe_remote(_) := false

safe_remote(f) if {
	safe_ssh(f["host.sshd"])
	not remote_desktop(f)
}

remote(f) := "not-applicable" if {
	not f["host.sshd"].running
	not remote_desktop(f)
} else := verdict(safe_remote(f))

default backups_verified(_) := false

backups_verified(f) if {
	b := f["backup.verification"]
	b.enabled
	b.last_days <= 31
	count(b.faults) == 0
}

default prompt(_) := false

prompt(u) if u.pending_security == 0

prompt(u) if u.oldest_days < 7

default patched(_) := false

patched(f) if {
	u := f["host.updates"]
	u.manager != "none"
	u.security_source
	not u.unauthenticated
	u.lists_age_hours >= 0
	u.lists_age_hours <= 48
	prompt(u)
	not f["host.reboot"].needed
	not f["host.os"].support_ended
}

default clam(_) := false

clam(a) if {
	some x in a
	startswith(x, "clam")
	endswith(x, ":running")
}

default antivirus_runs(_) := false

antivirus_runs(a) if {
	some x in a
	endswith(x, ":running")
}

default signatures(_) := false

signatures(f) if not clam(f["host.software"].antivirus)

signatures(f) if {
	some u in f["host.services"].running
	u in {"clamav-freshclam", "clamav-freshclam.service"}
}

default antimalware(_) := false

antimalware(f) if {
	antivirus_runs(f["host.software"].antivirus)
	signatures(f)
}

default accounts(_) := false

accounts(f) if {
	u := f["host.users"]
	u.shadow_readable
	every name in u.uid_zero { name == "root" }
	count(u.empty_passwords) == 0
	count(u.weak_hashes) == 0
	count(u.duplicate_uids) == 0
	count(u.duplicate_names) == 0
	count(u.system_with_shell) == 0
	not f["host.sudo"].no_authenticate
}

default admin_login(_) := false

admin_login(f) if {
	some u in f["host.users"].users
	u.admin
	u.can_login
}

default second_factor(_) := false

second_factor(f) if {
	f["host.sshd"].running
	f["host.mfa"].ssh
}

second_factor(f) if {
	f["host.sshd"].running
	f["host.mfa"].hardware_keys_only
}

second_factor(f) if {
	not f["host.sshd"].running
	f["host.mfa"].console
}

second_factor(f) if {
	not f["host.sshd"].running
	f["host.mfa"].sudo
}

factors(f) := "not-applicable" if {
	not f["host.sshd"].running
	not admin_login(f)
} else := verdict(second_factor(f))

default encrypted(_) := false

encrypted(f) if {
	every d in f["host.software"].databases { d.encrypted }
}

databases(f) := "not-applicable" if {
	count(f["host.software"].databases) == 0
} else := verdict(encrypted(f))

default scanned(_) := false

scanned(f) if {
	s := f["vulnerability.scan"]
	s.complete
	s.last_hours <= 168
	s.feed_age_hours <= 72
}

default closed_v6(_) := false

closed_v6(f) if not f["host.network"].ipv6

closed_v6(f) if f["host.firewall"].input_policy6 == "drop"

default firewall(_) := false

firewall(f) if {
	w := f["host.firewall"]
	w.active
	w.input_policy == "drop"
	closed_v6(f)
	count(w.admin_open_to_any) == 0
}
