package observer

import (
	"context"
	"slices"
	"strings"

	"github.com/demarc/demarc/internal/service/telemetry"
)

// role is software that duties and baselines ask about by what it does.
type role struct {
	name      string
	packages  []string // any of them installed means that the role is
	programs  []string // absolute paths, for software that no package brought
	processes []string // any of them running means that the role runs
}

// purposes of roles: which list of the fact names them.
type purpose int

const (
	plainRole purpose = iota
	serverRole
	antivirusRole
	backupRole
	integrityRole
	scannerRole
	idsRole
)

func collectSoftware(ctx context.Context, p *probe) (any, error) {
	inv, err := p.inventory(ctx)
	if err != nil {
		p.gap("software is told by its programs only: %s", err)
		inv = newInventory("none", nil)
	}
	var f telemetry.Software
	for _, g := range roles {
		for _, r := range g.roles {
			installed, running := r.present(p, inv), p.runs(r.processes)
			if !installed && !running {
				continue
			}
			f.Installed = append(f.Installed, r.name)
			state := r.name + ":stopped"
			if running {
				state = r.name + ":running"
			}
			switch g.purpose {
			case serverRole:
				if running {
					f.Servers = append(f.Servers, r.name)
				}
			case antivirusRole:
				f.Antivirus = append(f.Antivirus, state)
			case backupRole:
				f.Backups = append(f.Backups, r.name)
			case integrityRole:
				f.Integrity = append(f.Integrity, r.name)
			case scannerRole:
				f.Scanners = append(f.Scanners, r.name)
			case idsRole:
				f.IDS = append(f.IDS, state)
			}
		}
	}
	f.Databases = databases(p, inv)
	for _, d := range f.Databases {
		f.Installed = append(f.Installed, d.Name)
	}
	for _, l := range []*[]string{&f.Installed, &f.Servers, &f.Antivirus, &f.Backups, &f.Integrity, &f.Scanners, &f.IDS} {
		*l = uniq(*l)
	}
	return f, nil
}

func (p *probe) runs(names []string) bool {
	if len(names) == 0 {
		return false
	}
	_, ok := p.process(names...)
	return ok
}

// present looks for a package by name; a name that ends in * is a beginning.
func (r role) present(p *probe, inv *inventory) bool {
	for _, want := range r.packages {
		if prefix, ok := strings.CutSuffix(want, "*"); ok {
			if slices.ContainsFunc(inv.list, func(x telemetry.Package) bool { return strings.HasPrefix(x.Name, prefix) }) {
				return true
			}
			continue
		}
		if _, ok := inv.byName[want]; ok {
			return true
		}
	}
	return p.anyExists(r.programs...) != ""
}

// database is a database server that the product knows.
type database struct {
	role
	setting, files string   // where its data directory is configured
	data           []string // its usual data directories, as patterns
}

var knownDatabases = []database{
	{role{name: "postgresql", packages: []string{"postgresql-server"}, processes: []string{"postgres"}}, "data_directory", "/etc/postgresql/*/*/postgresql.conf", []string{"/var/lib/postgresql/*/*", "/var/lib/pgsql/data", "/var/lib/pgsql/*/data"}},
	{role{name: "mariadb", packages: []string{"mariadb-server"}, processes: []string{"mariadbd"}}, "datadir", "/etc/mysql/mariadb.conf.d/*.cnf", []string{"/var/lib/mysql"}},
	{role{name: "mysql", packages: []string{"mysql-server*", "mysql-community-server"}, processes: []string{"mysqld"}}, "datadir", "/etc/mysql/mysql.conf.d/*.cnf", []string{"/var/lib/mysql"}},
	{role{name: "mongodb", packages: []string{"mongodb-org-server", "mongodb-server"}, processes: []string{"mongod"}}, "dbPath", "/etc/mongod.conf", []string{"/var/lib/mongodb", "/var/lib/mongo"}},
	{role{name: "redis", packages: []string{"redis-server", "redis", "valkey"}, processes: []string{"redis-server", "valkey-server"}}, "dir", "/etc/redis/redis.conf", []string{"/var/lib/redis", "/var/lib/valkey"}},
	{role{name: "elasticsearch", packages: []string{"elasticsearch", "opensearch"}}, "path.data", "/etc/elasticsearch/elasticsearch.yml", []string{"/var/lib/elasticsearch", "/var/lib/opensearch"}},
	{role{name: "cassandra", packages: []string{"cassandra"}}, "", "", []string{"/var/lib/cassandra"}},
	{role{name: "influxdb", packages: []string{"influxdb", "influxdb2"}, processes: []string{"influxd"}}, "", "", []string{"/var/lib/influxdb"}},
}

func databases(p *probe, inv *inventory) []telemetry.Database {
	mounts, err := p.mounts()
	if err != nil {
		p.gap("whether databases lie on encrypted storage is not seen: %s", err)
	}
	var out []telemetry.Database
	for _, k := range knownDatabases {
		running := p.runs(k.processes)
		installed := k.present(p, inv)
		if k.name == "postgresql" {
			installed = installed || slices.ContainsFunc(inv.list, func(x telemetry.Package) bool {
				major, ok := strings.CutPrefix(x.Name, "postgresql-")
				return ok && number(major, 0) > 0
			})
		}
		if !running && !installed {
			continue
		}
		d := telemetry.Database{Name: k.name, Running: running, DataPath: p.dataPath(k)}
		if d.DataPath != "" {
			kind := p.encryption(mountOf(mounts, d.DataPath))
			d.Encrypted = kind != "none" && kind != "unknown"
		}
		out = append(out, d)
	}
	return out
}

// dataPath is the configured data directory, else the usual one that exists.
func (p *probe) dataPath(k database) string {
	found := ""
	if k.files != "" {
		for _, file := range p.glob(k.files) {
			lines([]byte(p.config(file)), func(_ int, line string) {
				rest, ok := strings.CutPrefix(line, k.setting)
				if value := strings.Trim(strings.TrimLeft(rest, " \t=:"), `'"`); ok && strings.HasPrefix(value, "/") {
					value, _ = cutWord(value)
					found = strings.Trim(value, `'"`)
				}
			})
		}
	}
	if found != "" {
		return found
	}
	for _, pattern := range k.data {
		if dirs := p.glob(pattern); len(dirs) > 0 {
			return dirs[0]
		}
	}
	return ""
}
