package telemetry

import (
	"time"

	"github.com/demarc/demarc/internal/evidence"
)

// The facts of a host. Every list is sorted, so that an unchanged host gives
// unchanged bytes. Times are UTC; a zero time is left out.

// OS is what runs on the machine.
type OS struct {
	Hostname       string    `json:"hostname" doc:"kernel host name"`
	Family         string    `json:"family" enum:"debian,rhel,suse,alpine,arch,windows,other" doc:"distribution family, from ID and ID_LIKE of os-release(5)"`
	ID             string    `json:"id" doc:"ID of os-release(5)"`
	Version        string    `json:"version" doc:"VERSION_ID of os-release(5)"`
	Name           string    `json:"name" doc:"PRETTY_NAME of os-release(5)"`
	Kernel         string    `json:"kernel" doc:"running kernel release"`
	Architecture   string    `json:"architecture"`
	Virtualization string    `json:"virtualization" doc:"hypervisor seen by the guest, none if bare metal, unknown if it cannot be told"`
	Init           string    `json:"init" doc:"name of process 1"`
	BootedAt       time.Time `json:"booted_at"`
	EndOfLife      time.Time `json:"end_of_life,omitzero" doc:"when the distribution ends security support, where known"`
	SupportEnded   bool      `json:"support_ended" doc:"end_of_life had passed when observed"`
	SecureBoot     string    `json:"secure_boot" enum:"on,off,unknown"`
}

// Packages is the software that the package manager knows.
type Packages struct {
	Manager  string    `json:"manager" enum:"dpkg,rpm,apk,none"`
	Count    int       `json:"count"`
	Packages []Package `json:"packages"`
}

// Package is one installed package.
type Package struct {
	Name    string `json:"name"`
	Version string `json:"version"`
	Arch    string `json:"arch"`
	Source  string `json:"source,omitempty"`
}

// Updates are the package updates that wait.
type Updates struct {
	Manager         string    `json:"manager" doc:"as in host.packages"`
	Pending         int       `json:"pending" doc:"packages with a newer version in the lists"`
	PendingSecurity int       `json:"pending_security" doc:"of these, from a security archive"`
	Security        []Update  `json:"security" doc:"the security updates, at most 500"`
	OldestSecurity  time.Time `json:"oldest_security,omitzero" doc:"when this machine first saw the oldest security update that still waits"`
	OldestDays      int       `json:"oldest_days" doc:"whole days since oldest_security; 0 if none waits"`
	ListsAt         time.Time `json:"lists_at,omitzero" doc:"when the package lists were last fetched"`
	ListsAgeHours   int       `json:"lists_age_hours" doc:"-1 if they never were"`
	Automatic       bool      `json:"automatic" doc:"unattended upgrades of security updates are on"`
	SecuritySource  bool      `json:"security_source" doc:"a security archive is among the package sources"`
	Unauthenticated bool      `json:"unauthenticated" doc:"a package source is trusted without a signature"`
}

// Update is one update that waits.
type Update struct {
	Name      string `json:"name"`
	Installed string `json:"installed"`
	Candidate string `json:"candidate"`
}

// Reboot says whether a restart is needed and why.
type Reboot struct {
	Needed          bool     `json:"needed"`
	Reasons         []string `json:"reasons"`
	RunningKernel   string   `json:"running_kernel"`
	InstalledKernel string   `json:"installed_kernel,omitempty" doc:"newest kernel on disk"`
	StaleServices   []string `json:"stale_services" doc:"processes that run deleted executables or libraries"`
}

// Users are the accounts of the machine.
type Users struct {
	Users              []User   `json:"users"`
	UIDZero            []string `json:"uid_zero" doc:"accounts with uid 0"`
	LoginUsers         []string `json:"login_users" doc:"accounts that can log in: a login shell and a password or key"`
	EmptyPasswords     []string `json:"empty_passwords" doc:"accounts with an empty password field"`
	DuplicateUIDs      []int    `json:"duplicate_uids"`
	DuplicateNames     []string `json:"duplicate_names"`
	SystemWithShell    []string `json:"system_with_shell" doc:"system accounts (uid below UID_MIN, not root) with a login shell"`
	PasswordExpired    []string `json:"password_expired" doc:"accounts whose password must be changed at next login"`
	ShadowReadable     bool     `json:"shadow_readable" doc:"whether the password state could be read"`
	OldestPasswordDays int      `json:"oldest_password_days" doc:"age of the oldest password of an account that can log in by one; 0 if none"`
	WeakHashes         []string `json:"weak_hashes" doc:"accounts whose password hash is DES, MD5 or SHA-1"`
	Dormant            []string `json:"dormant" doc:"login accounts without a login for 90 days"`
}

// User is one account.
type User struct {
	Name            string    `json:"name"`
	UID             int       `json:"uid"`
	GID             int       `json:"gid"`
	Home            string    `json:"home"`
	Shell           string    `json:"shell"`
	Password        string    `json:"password" enum:"set,locked,empty,none,unknown"`
	PasswordChanged time.Time `json:"password_changed,omitzero"`
	MaxDays         int       `json:"max_days" doc:"-1 if the password never expires"`
	MustChange      bool      `json:"must_change"`
	Expires         time.Time `json:"expires,omitzero"`
	CanLogin        bool      `json:"can_login"`
	Admin           bool      `json:"admin" doc:"uid 0, or full sudo rights by name or group"`
	HomeMode        string    `json:"home_mode,omitempty" doc:"octal permission bits of the home directory"`
	LastLogin       time.Time `json:"last_login,omitzero"`
}

// Groups are the groups of the machine.
type Groups struct {
	Groups        []Group  `json:"groups"`
	Privileged    []string `json:"privileged" doc:"members of groups that give administration rights (sudo, wheel, adm excluded, docker, lxd, disk, shadow among them), as group:user"`
	DuplicateGIDs []int    `json:"duplicate_gids"`
}

// Group is one group.
type Group struct {
	Name    string   `json:"name"`
	GID     int      `json:"gid"`
	Members []string `json:"members"`
}

// Sudo is who may do what as somebody else.
type Sudo struct {
	Installed      bool       `json:"installed"`
	Rules          []SudoRule `json:"rules"`
	FullRights     []string   `json:"full_rights" doc:"users and %groups that may run everything as root"`
	NoPassword     []string   `json:"no_password" doc:"users and %groups with a NOPASSWD rule"`
	UsePTY         bool       `json:"use_pty"`
	LogFile        string     `json:"log_file,omitempty"`
	IOLog          bool       `json:"io_log" doc:"log_input or log_output is on"`
	TimeoutMinutes float64    `json:"timeout_minutes" doc:"timestamp_timeout; 15 if not set"`
	NoAuthenticate bool       `json:"no_authenticate" doc:"a Defaults !authenticate is in force"`
	SuRestricted   bool       `json:"su_restricted" doc:"pam_wheel restricts su to a group"`
}

// SudoRule is one rule of sudoers(5).
type SudoRule struct {
	Who      string `json:"who"`
	Hosts    string `json:"hosts"`
	As       string `json:"as"`
	Tags     string `json:"tags,omitempty"`
	Commands string `json:"commands"`
	File     string `json:"file"`
	Line     int    `json:"line"`
}

// AuthorizedKeys are the SSH keys that let somebody in.
type AuthorizedKeys struct {
	Keys          []AuthorizedKey `json:"keys"`
	SharedKeys    []string        `json:"shared_keys" doc:"fingerprints of keys that open more than one account"`
	WeakKeys      []string        `json:"weak_keys" doc:"fingerprints of DSA keys and RSA keys below 3072 bits"`
	WorldWritable []string        `json:"world_writable" doc:"key files that group or others may write"`
}

// AuthorizedKey is one line of an authorized_keys file. The key itself is not kept.
type AuthorizedKey struct {
	User        string `json:"user"`
	Type        string `json:"type"`
	Bits        int    `json:"bits"`
	Fingerprint string `json:"fingerprint" doc:"SHA256: form of ssh-keygen"`
	Comment     string `json:"comment,omitempty"`
	From        string `json:"from,omitempty" doc:"addresses that a from= option limits it to"`
	Command     bool   `json:"command" doc:"a command= option limits it"`
}

// PasswordPolicy is what new passwords must obey.
type PasswordPolicy struct {
	MaxDays       int    `json:"max_days" doc:"PASS_MAX_DAYS of login.defs(5)"`
	MinDays       int    `json:"min_days"`
	WarnDays      int    `json:"warn_days"`
	Umask         string `json:"umask" doc:"UMASK of login.defs(5)"`
	EncryptMethod string `json:"encrypt_method"`
	Quality       bool   `json:"quality" doc:"pam_pwquality or pam_passwdqc checks new passwords"`
	MinLength     int    `json:"min_length"`
	MinClass      int    `json:"min_class"`
	DCredit       int    `json:"dcredit"`
	UCredit       int    `json:"ucredit"`
	LCredit       int    `json:"lcredit"`
	OCredit       int    `json:"ocredit"`
	MaxRepeat     int    `json:"max_repeat"`
	MaxSequence   int    `json:"max_sequence"`
	DictCheck     bool   `json:"dict_check"`
	EnforceRoot   bool   `json:"enforce_root"`
	History       int    `json:"history" doc:"former passwords refused by pam_pwhistory or pam_unix remember=; 0 if none"`
	Lockout       bool   `json:"lockout" doc:"pam_faillock or pam_tally2 locks after failures"`
	LockoutDeny   int    `json:"lockout_deny" doc:"failures before the lock; 0 if no lockout"`
	LockoutUnlock int    `json:"lockout_unlock" doc:"seconds until unlocked; 0 means never by itself"`
	InactiveDays  int    `json:"inactive_days" doc:"INACTIVE of useradd defaults; -1 if off"`
	NullOK        bool   `json:"nullok" doc:"pam_unix accepts empty passwords"`
	HashAlgorithm string `json:"hash_algorithm" doc:"hash that pam_unix writes"`
	ShellTimeout  int    `json:"shell_timeout" doc:"TMOUT in seconds of shell profiles; 0 if not set"`
	RootUmask     string `json:"root_umask,omitempty"`
}

// SSHD is the effective configuration of the SSH server.
type SSHD struct {
	Installed               bool     `json:"installed"`
	Running                 bool     `json:"running"`
	Version                 string   `json:"version,omitempty"`
	Effective               bool     `json:"effective" doc:"read from sshd -T; false: read from the files, without Match blocks and defaults of the build"`
	Ports                   []int    `json:"ports"`
	ListenAddresses         []string `json:"listen_addresses"`
	PermitRootLogin         string   `json:"permit_root_login"`
	PasswordAuthentication  bool     `json:"password_authentication"`
	KbdInteractive          bool     `json:"kbd_interactive"`
	PubkeyAuthentication    bool     `json:"pubkey_authentication"`
	PermitEmptyPasswords    bool     `json:"permit_empty_passwords"`
	HostbasedAuthentication bool     `json:"hostbased_authentication"`
	IgnoreRhosts            bool     `json:"ignore_rhosts"`
	X11Forwarding           bool     `json:"x11_forwarding"`
	AllowTCPForwarding      string   `json:"allow_tcp_forwarding"`
	AllowAgentForwarding    bool     `json:"allow_agent_forwarding"`
	GatewayPorts            string   `json:"gateway_ports"`
	PermitUserEnvironment   bool     `json:"permit_user_environment"`
	PermitTunnel            string   `json:"permit_tunnel"`
	UsePAM                  bool     `json:"use_pam"`
	StrictModes             bool     `json:"strict_modes"`
	MaxAuthTries            int      `json:"max_auth_tries"`
	MaxSessions             int      `json:"max_sessions"`
	MaxStartups             string   `json:"max_startups"`
	LoginGraceTime          int      `json:"login_grace_time" doc:"seconds"`
	ClientAliveInterval     int      `json:"client_alive_interval" doc:"seconds"`
	ClientAliveCountMax     int      `json:"client_alive_count_max"`
	LogLevel                string   `json:"log_level"`
	Banner                  string   `json:"banner"`
	DisableForwarding       bool     `json:"disable_forwarding"`
	Compression             string   `json:"compression"`
	AllowUsers              []string `json:"allow_users"`
	AllowGroups             []string `json:"allow_groups"`
	DenyUsers               []string `json:"deny_users"`
	DenyGroups              []string `json:"deny_groups"`
	AuthenticationMethods   string   `json:"authentication_methods"`
	TrustedUserCAKeys       string   `json:"trusted_user_ca_keys"`
	Ciphers                 []string `json:"ciphers"`
	MACs                    []string `json:"macs"`
	KexAlgorithms           []string `json:"kex_algorithms"`
	HostKeyAlgorithms       []string `json:"host_key_algorithms"`
	WeakCiphers             []string `json:"weak_ciphers" doc:"CBC modes, 3DES, RC4, Blowfish"`
	WeakMACs                []string `json:"weak_macs" doc:"MD5, SHA-1, 64-bit and RIPEMD MACs"`
	WeakKex                 []string `json:"weak_kex" doc:"key exchanges with SHA-1 or 1024-bit groups"`
	ConfigMode              string   `json:"config_mode,omitempty" doc:"octal permission bits of sshd_config"`
	ConfigOwner             string   `json:"config_owner,omitempty"`
	LooseHostKeys           []string `json:"loose_host_keys" doc:"private host keys that others than the owner may read"`
	MatchOverrides          []string `json:"match_overrides,omitempty" doc:"settings inside Match blocks, as keyword and value; they hold for some users or addresses only"`
}

// MFA is how administration logins are protected by a second factor.
type MFA struct {
	SSH              bool     `json:"ssh" doc:"sshd asks for more than one method of different kind, or a PAM second factor is required for sshd"`
	Sudo             bool     `json:"sudo" doc:"a PAM second factor is required for sudo"`
	Console          bool     `json:"console" doc:"a PAM second factor is required for login"`
	Modules          []string `json:"modules" doc:"PAM modules of a second factor in use, as service:module:control"`
	HardwareKeysOnly bool     `json:"hardware_keys_only" doc:"every authorized key is an sk- key and passwords are off"`
}

// Listeners are the sockets that wait for others.
type Listeners struct {
	Listeners []Listener `json:"listeners"`
	External  []string   `json:"external" doc:"those that answer on more than loopback, as proto/port:process, or proto/port where the process is not seen, sorted and unique"`
	Processes bool       `json:"processes" doc:"whether the owning processes could be read"`
}

// Listener is one listening socket.
type Listener struct {
	Protocol string `json:"protocol" enum:"tcp,udp"`
	Address  string `json:"address"`
	Port     int    `json:"port"`
	Loopback bool   `json:"loopback"`
	Process  string `json:"process,omitempty"`
	PID      int    `json:"pid,omitempty"`
	User     string `json:"user,omitempty"`
	Package  string `json:"package,omitempty"`
}

// Services are the units that the init system runs.
type Services struct {
	Manager string   `json:"manager" enum:"systemd,openrc,none,unknown"`
	Units   []Unit   `json:"units"`
	Running []string `json:"running" doc:"names of active service units, without the suffix"`
	Enabled []string `json:"enabled" doc:"names of service and socket units that start at boot"`
	Failed  []string `json:"failed"`
}

// Unit is one systemd unit.
type Unit struct {
	Name    string `json:"name"`
	Active  string `json:"active"`
	Enabled string `json:"enabled"`
}

// Mounts are the file systems and how they are protected.
type Mounts struct {
	Mounts          []Mount  `json:"mounts"`
	EncryptedPaths  []string `json:"encrypted_paths" doc:"mount points on encrypted devices or directories"`
	RootEncrypted   bool     `json:"root_encrypted"`
	SwapEncrypted   bool     `json:"swap_encrypted" doc:"all swap is encrypted, or there is none"`
	SeparateMounts  []string `json:"separate_mounts" doc:"which of /tmp /var /var/tmp /var/log /var/log/audit /home /dev/shm are mounts of their own"`
	RemovableMounts []string `json:"removable_mounts"`
}

// Mount is one mounted file system.
type Mount struct {
	Target     string   `json:"target"`
	Source     string   `json:"source"`
	Type       string   `json:"type"`
	Options    []string `json:"options"`
	Encryption string   `json:"encryption" enum:"none,luks,dm-crypt,fscrypt,ecryptfs,gocryptfs,zfs,unknown"`
	SizeBytes  int64    `json:"size_bytes"`
}

// Kernel is the tuning that concerns security.
type Kernel struct {
	Parameters         map[string]string `json:"parameters" doc:"sysctl values by their dotted name; only those that the product reads"`
	LSMs               []string          `json:"lsms" doc:"active security modules"`
	AppArmor           string            `json:"apparmor" enum:"enabled,disabled,absent"`
	AppArmorEnforced   int               `json:"apparmor_enforced" doc:"profiles in enforce mode"`
	AppArmorComplain   int               `json:"apparmor_complain"`
	SELinux            string            `json:"selinux" enum:"enforcing,permissive,disabled,absent"`
	Lockdown           string            `json:"lockdown" enum:"none,integrity,confidentiality,unknown"`
	CoreDumps          string            `json:"core_dumps" enum:"off,restricted,on" doc:"off: hard core limit 0 and no dumpable setuid programs"`
	CommandLine        []string          `json:"command_line" doc:"names of kernel parameters at boot that concern security, with values"`
	BootLoaderPassword bool              `json:"boot_loader_password"`
	BootConfigMode     string            `json:"boot_config_mode,omitempty" doc:"octal permission bits of grub.cfg"`
	Vulnerabilities    map[string]string `json:"vulnerabilities" doc:"CPU flaws and their mitigation, from sysfs"`
}

// Modules are the kernel's loaded modules and those barred from loading.
type Modules struct {
	Loaded    []string `json:"loaded"`
	Blocked   []string `json:"blocked" doc:"modules that modprobe.d bars with install /bin/false or /bin/true, or blacklists"`
	Available []string `json:"available" doc:"of the seldom needed modules that baselines bar, those that exist on disk"`
	Tainted   int      `json:"tainted" doc:"value of kernel.tainted"`
}

// Jobs are the scheduled jobs.
type Jobs struct {
	Jobs       []Job    `json:"jobs"`
	CronActive bool     `json:"cron_active" doc:"a cron daemon runs"`
	CronAllow  bool     `json:"cron_allow" doc:"cron.allow exists and limits who may"`
	AtAllow    bool     `json:"at_allow" doc:"at.allow exists, or at is not installed"`
	LoosePaths []string `json:"loose_paths" doc:"crontab files and directories that others may read or write, with mode"`
}

// Job is one scheduled job.
type Job struct {
	Kind     string `json:"kind" enum:"cron,timer,at"`
	User     string `json:"user"`
	Schedule string `json:"schedule"`
	// Command has arguments that look like secrets masked.
	Command string `json:"command"`
	Source  string `json:"source"`
}

// Firewall is what the kernel filters now, whoever wrote the rules.
type Firewall struct {
	Backend             string          `json:"backend" enum:"nftables,iptables-legacy,none,unknown"`
	Active              bool            `json:"active" doc:"a base chain on the input hook has a rule or a dropping policy"`
	Tables              []string        `json:"tables" doc:"family and name"`
	Chains              []FirewallChain `json:"chains" doc:"base chains on the input, forward and output hooks"`
	InputPolicy         string          `json:"input_policy" enum:"accept,drop,none" doc:"what happens to an IPv4 packet that no input rule decides; a last rule that drops or rejects everything counts as policy"`
	InputPolicy6        string          `json:"input_policy6" enum:"accept,drop,none"`
	OutputPolicy        string          `json:"output_policy" enum:"accept,drop,none"`
	ForwardPolicy       string          `json:"forward_policy" enum:"accept,drop,none"`
	Open                []Opening       `json:"open" doc:"new inbound connections that the rules let in"`
	OpenToAny           []int           `json:"open_to_any" doc:"ports of listening services that any address may reach, IPv4 or IPv6"`
	AdminOpenToAny      []int           `json:"admin_open_to_any" doc:"of these, ports of remote administration (SSH, RDP, VNC, WinRM, telnet)"`
	Rules               int             `json:"rules"`
	LoopbackAccepted    bool            `json:"loopback_accepted"`
	EstablishedAccepted bool            `json:"established_accepted"`
	Approximate         bool            `json:"approximate" doc:"some rules have conditions that the analysis does not model; it then assumes that they let traffic in"`
}

// FirewallChain is one base chain.
type FirewallChain struct {
	Family string `json:"family"`
	Table  string `json:"table"`
	Name   string `json:"name"`
	Hook   string `json:"hook"`
	Policy string `json:"policy"`
	Rules  int    `json:"rules"`
}

// Opening is traffic that a rule lets in.
type Opening struct {
	Protocol string `json:"protocol"`
	Ports    string `json:"ports" doc:"a port, a range a-b, or any"`
	Source   string `json:"source" doc:"address, prefix, set, or any"`
	Rule     string `json:"rule" doc:"family table chain and position of the rule, or of the policy"`
}

// TimeSync is how the clock is kept right.
type TimeSync struct {
	Service       string   `json:"service" enum:"chrony,systemd-timesyncd,ntpd,openntpd,hypervisor,none"`
	Running       bool     `json:"running"`
	Synchronized  bool     `json:"synchronized" doc:"the kernel's clock is disciplined (adjtimex)"`
	Servers       []string `json:"servers"`
	OffsetSeconds float64  `json:"offset_seconds,omitempty" metric:"demarc_host_clock_offset_seconds"`
	RunsAsRoot    bool     `json:"runs_as_root" doc:"the time daemon runs as root"`
}

// Logging is the state of logs and of the audit subsystem.
type Logging struct {
	Journal           bool     `json:"journal" doc:"systemd-journald runs"`
	JournalPersistent bool     `json:"journal_persistent"`
	JournalCompress   bool     `json:"journal_compress"`
	JournalForward    bool     `json:"journal_forward" doc:"ForwardToSyslog"`
	JournalRemote     bool     `json:"journal_remote" doc:"systemd-journal-upload runs"`
	Syslog            string   `json:"syslog" enum:"rsyslog,syslog-ng,none"`
	SyslogRunning     bool     `json:"syslog_running"`
	RemoteTargets     []string `json:"remote_targets" doc:"hosts that logs are sent to"`
	FileCreateMode    string   `json:"file_create_mode,omitempty"`
	AuthLog           bool     `json:"auth_log" doc:"logins are written to the journal or an auth log that exists"`
	LooseLogs         []string `json:"loose_logs" doc:"files under /var/log that others may write, or read where they hold logins"`
	Logrotate         bool     `json:"logrotate"`
	AuditInstalled    bool     `json:"audit_installed"`
	AuditRunning      bool     `json:"audit_running"`
	AuditEnabled      int      `json:"audit_enabled" doc:"kernel state: 0 off, 1 on, 2 locked until reboot, -1 unknown"`
	AuditRules        int      `json:"audit_rules"`
	AuditKeys         []string `json:"audit_keys" doc:"keys of the audit rules"`
	AuditWatches      []string `json:"audit_watches" doc:"paths that audit rules watch"`
	AuditSyscalls     []string `json:"audit_syscalls" doc:"system calls that audit rules record"`
	AuditPrivileged   bool     `json:"audit_privileged" doc:"execution as root by a person is recorded (execve with euid 0, or watches of sudo)"`
	AuditLost         int      `json:"audit_lost"`
	AuditBacklog      int      `json:"audit_backlog"`
	AuditMaxFile      int      `json:"audit_max_file" doc:"megabytes; max_log_file of auditd.conf(5)"`
	AuditFullAction   string   `json:"audit_full_action,omitempty"`
	AuditKeepLogs     bool     `json:"audit_keep_logs" doc:"max_log_file_action keep_logs"`
	AuditAtBoot       bool     `json:"audit_at_boot" doc:"audit=1 on the kernel command line"`
}

// Logins is who came in lately.
type Logins struct {
	Available      bool           `json:"available" doc:"a source of logins could be read"`
	Source         string         `json:"source" doc:"journal, wtmp, auth log"`
	WindowHours    int            `json:"window_hours" doc:"how far back it looks"`
	Logins         []Login        `json:"logins" doc:"the latest 200 in the window"`
	Failed         int            `json:"failed" doc:"failed logins in the window"`
	FailedByUser   map[string]int `json:"failed_by_user" doc:"at most 50 names"`
	FailedBySource map[string]int `json:"failed_by_source" doc:"at most 50 addresses"`
	RemoteSources  []string       `json:"remote_sources" doc:"addresses that logged in successfully"`
	SharedAccounts []string       `json:"shared_accounts" doc:"accounts that more than one key logged in to"`
	RootLogins     int            `json:"root_logins" doc:"direct logins as root from elsewhere"`
}

// Login is one successful login.
type Login struct {
	User   string `json:"user"`
	Source string `json:"source,omitempty" doc:"address; empty for the console"`
	Method string `json:"method,omitempty"`
	Key    string `json:"key,omitempty" doc:"fingerprint of the key used"`
	// Certificate and Authority are of a login by certificate.
	Certificate string    `json:"certificate,omitempty" doc:"key id of the certificate used"`
	Authority   string    `json:"authority,omitempty" doc:"fingerprint of the key that signed the certificate"`
	At          time.Time `json:"at"`
}

// Files is the state of the files and directories that baselines look at.
type Files struct {
	Files            map[string]FileState `json:"files" doc:"by path; only existing ones of the list that the product reads"`
	WorldWritable    []string             `json:"world_writable" doc:"world-writable files in system directories, at most 100"`
	StickyMissing    []string             `json:"sticky_missing" doc:"world-writable directories without the sticky bit, at most 100"`
	Unowned          []string             `json:"unowned" doc:"files in system directories without an existing owner or group, at most 100"`
	SetUID           []string             `json:"setuid" doc:"setuid and setgid programs, at most 500"`
	UnpackagedSetUID []string             `json:"unpackaged_setuid" doc:"of these, those that no package installed"`
	RootPathUnsafe   []string             `json:"root_path_unsafe" doc:"directories of root's PATH that are empty, relative or writable by others"`
	DotFiles         []string             `json:"dot_files" doc:".rhosts, .netrc, .forward and start-up files in homes that others may write"`
}

// FileState is owner and mode of one path.
type FileState struct {
	Mode  string `json:"mode" doc:"octal permission bits, with setuid, setgid and sticky"`
	Owner string `json:"owner"`
	Group string `json:"group"`
	Size  int64  `json:"size"`
}

// Software is what baselines and duties ask about what is installed and running.
type Software struct {
	Installed []string   `json:"installed" doc:"of the names that the product reads, those installed: servers, clients and tools by their role name (telnet-client, ftp-server, x-server, prelink, aide, ...)"`
	Databases []Database `json:"databases" doc:"database servers found, with their data directories"`
	Servers   []string   `json:"servers" doc:"web, mail, file and name servers found running"`
	Antivirus []string   `json:"antivirus" doc:"anti-malware products found, as name:running or name:stopped"`
	Backups   []string   `json:"backups" doc:"backup tools found installed"`
	Integrity []string   `json:"integrity" doc:"file integrity tools found installed"`
	Scanners  []string   `json:"scanners" doc:"vulnerability scanners found installed"`
	IDS       []string   `json:"ids" doc:"host intrusion detection found, as name:running or name:stopped"`
}

// Database is a database server found on the machine.
type Database struct {
	Name      string `json:"name"`
	DataPath  string `json:"data_path"`
	Running   bool   `json:"running"`
	Encrypted bool   `json:"encrypted" doc:"the data directory lies on encrypted storage"`
}

// Network is how the machine is connected.
type Network struct {
	Interfaces  []Interface `json:"interfaces"`
	DNS         []string    `json:"dns"`
	Wireless    []string    `json:"wireless" doc:"wireless interfaces that are up"`
	IPv6        bool        `json:"ipv6" doc:"an interface has a global IPv6 address"`
	Forwarding  bool        `json:"forwarding" doc:"IPv4 or IPv6 forwarding is on"`
	Promiscuous []string    `json:"promiscuous"`
}

// Interface is one network interface.
type Interface struct {
	Name      string   `json:"name"`
	MAC       string   `json:"mac,omitempty"`
	Addresses []string `json:"addresses"`
	Up        bool     `json:"up"`
}

// Banners are the texts shown before and after login.
type Banners struct {
	Issue    bool     `json:"issue" doc:"/etc/issue has a text"`
	IssueNet bool     `json:"issue_net"`
	MOTD     bool     `json:"motd"`
	LeaksOS  []string `json:"leaks_os" doc:"banner files that name the operating system or kernel"`
}

// Resources is what the machine uses, also kept as time series.
type Resources struct {
	CPUs            int     `json:"cpus" metric:"demarc_host_cpus"`
	CPUBusy         float64 `json:"cpu_busy" metric:"demarc_host_cpu_busy_ratio" doc:"0 to 1, of all processors since the last look"`
	Load1           float64 `json:"load1" metric:"demarc_host_load1"`
	MemoryBytes     int64   `json:"memory_bytes" metric:"demarc_host_memory_bytes"`
	MemoryUsed      int64   `json:"memory_used" metric:"demarc_host_memory_used_bytes"`
	SwapUsed        int64   `json:"swap_used" metric:"demarc_host_swap_used_bytes"`
	DiskUsedRatio   float64 `json:"disk_used_ratio" metric:"demarc_host_disk_used_ratio" doc:"of the fullest local file system"`
	FullestMount    string  `json:"fullest_mount"`
	NetworkReceived int64   `json:"network_received" metric:"demarc_host_network_received_bytes_total"`
	NetworkSent     int64   `json:"network_sent" metric:"demarc_host_network_sent_bytes_total"`
	DiskRead        int64   `json:"disk_read" metric:"demarc_host_disk_read_bytes_total"`
	DiskWritten     int64   `json:"disk_written" metric:"demarc_host_disk_written_bytes_total"`
	UptimeSeconds   int64   `json:"uptime_seconds" metric:"demarc_host_uptime_seconds"`
	Processes       int     `json:"processes" metric:"demarc_host_processes"`
}

const vm = evidence.ScopeVM

// Kinds are the facts that telemetry provides.
var Kinds = []evidence.Kind{
	evidence.KindOf[OS]("host.os", vm, 5*time.Minute, "Operating system, kernel and virtualization."),
	evidence.KindOf[Packages]("host.packages", vm, 15*time.Minute, "Installed packages."),
	evidence.KindOf[Updates]("host.updates", vm, 15*time.Minute, "Package updates that wait, security updates among them."),
	evidence.KindOf[Reboot]("host.reboot", vm, 5*time.Minute, "Whether the machine must be restarted, and why."),
	evidence.KindOf[Users]("host.users", vm, time.Minute, "Accounts and the state of their passwords."),
	evidence.KindOf[Groups]("host.groups", vm, time.Minute, "Groups and their members."),
	evidence.KindOf[Sudo]("host.sudo", vm, time.Minute, "Who may act as somebody else."),
	evidence.KindOf[AuthorizedKeys]("host.authorized_keys", vm, time.Minute, "SSH keys that open accounts."),
	evidence.KindOf[PasswordPolicy]("host.password_policy", vm, 5*time.Minute, "What passwords must obey."),
	evidence.KindOf[SSHD]("host.sshd", vm, time.Minute, "Effective configuration of the SSH server."),
	evidence.KindOf[MFA]("host.mfa", vm, 5*time.Minute, "Second factors that logins need."),
	evidence.KindOf[Listeners]("host.listeners", vm, 30*time.Second, "Listening sockets with their processes."),
	evidence.KindOf[Services]("host.services", vm, time.Minute, "Units of the init system."),
	evidence.KindOf[Mounts]("host.mounts", vm, 5*time.Minute, "Mounted file systems and their encryption."),
	evidence.KindOf[Kernel]("host.kernel", vm, 5*time.Minute, "Kernel parameters and security modules."),
	evidence.KindOf[Modules]("host.modules", vm, 5*time.Minute, "Kernel modules, loaded and barred."),
	evidence.KindOf[Jobs]("host.jobs", vm, 5*time.Minute, "Scheduled jobs."),
	evidence.KindOf[Firewall]("host.firewall", vm, 30*time.Second, "Firewall rules in force, whoever wrote them."),
	evidence.KindOf[TimeSync]("host.timesync", vm, 5*time.Minute, "How the clock is kept right."),
	evidence.KindOf[Logging]("host.logging", vm, time.Minute, "State of logs and of the audit subsystem."),
	evidence.KindOf[Logins]("host.logins", vm, time.Minute, "Logins and failed logins."),
	evidence.KindOf[Files]("host.files", vm, 15*time.Minute, "Owners and modes of system files."),
	evidence.KindOf[Software]("host.software", vm, 5*time.Minute, "Software that duties and baselines ask about."),
	evidence.KindOf[Network]("host.network", vm, time.Minute, "Network interfaces and name servers."),
	evidence.KindOf[Banners]("host.banners", vm, 15*time.Minute, "Texts shown at login."),
	evidence.KindOf[Resources]("host.resources", vm, 15*time.Second, "Resource usage."),
}
