package console_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/demarc/demarc/api"
	"github.com/demarc/demarc/internal/acts"
)

func (f *fakeAPI) route() {
	f.mux = http.NewServeMux()
	show := func(pattern string, answer func(r *http.Request) any) {
		f.mux.HandleFunc("GET "+pattern, func(w http.ResponseWriter, r *http.Request) {
			f.mu.Lock()
			v := answer(r)
			f.mu.Unlock()
			if v == nil {
				reply(w, 404, api.Problem{Title: "Not Found", Status: 404, Detail: "there is nothing of this name"})
				return
			}
			reply(w, 200, v)
		})
	}
	// tenant answers for the one tenant only.
	tenant := func(rest string, answer func(r *http.Request) any) {
		show("/v1/tenants/{tenant}"+rest, func(r *http.Request) any {
			if t := r.PathValue("tenant"); t != "globex" && t != "t-1" {
				return nil
			}
			return answer(r)
		})
	}
	show("/v1/tenants", func(*http.Request) any { return listOf([]api.Tenant{f.tenant}) })
	tenant("", func(*http.Request) any { return f.tenant })
	tenant("/matrix", func(r *http.Request) any { return f.matrix(r.FormValue("at")) })
	tenant("/vdcs", func(*http.Request) any {
		return listOf([]api.VDC{{ID: "d-1", Tenant: "t-1", Name: "north", CreatedAt: f.now}})
	})
	tenant("/vms", func(*http.Request) any { return listOf(f.vms) })
	vm := func(r *http.Request) any {
		i := slices.IndexFunc(f.vms, func(m api.VM) bool { return m.Name == r.PathValue("vm") || m.ID == r.PathValue("vm") })
		if i < 0 {
			return nil
		}
		return f.vms[i]
	}
	tenant("/vms/{vm}", vm)
	tenant("/vms/{vm}/facts", func(*http.Request) any { return listOf(f.facts) })
	tenant("/agents", func(*http.Request) any {
		var out []api.Agent
		for _, m := range f.vms {
			out = append(out, m.Agents...)
		}
		return listOf(out)
	})
	tenant("/subscriptions", func(*http.Request) any { return listOf(f.subscriptions()) })
	show("/v1/overview", func(*http.Request) any { return f.overview() })
	show("/v1/posture", func(r *http.Request) any { return listOf(f.posture(r.FormValue)) })
	show("/v1/duties", func(*http.Request) any { return listOf(f.duties) })
	show("/v1/explain", func(r *http.Request) any {
		i := slices.IndexFunc(f.duties, func(d api.Duty) bool { return d.ID == r.FormValue("duty") })
		if i < 0 {
			return nil
		}
		x, ok := f.explanation(f.duties[i], r.FormValue("vm"))
		if !ok {
			return nil
		}
		return x
	})
	show("/v1/services", func(*http.Request) any { return listOf(f.services()) })
	show("/v1/principals", func(*http.Request) any { return listOf([]api.Principal{f.people["admin"], f.people["customer"]}) })
	show("/v1/ledger", func(*http.Request) any {
		return api.LedgerState{Entries: 342, Checkpoint: "demarc.example/ledger\n342\nq83vEjRWeJA=\n", Keys: []string{"demarc.example/ledger+1b2c3d4e+ATEST"}, VerifiedAt: f.now.Add(-20 * time.Minute)}
	})
	show("/v1/ledger/entries", func(r *http.Request) any { return listOf(f.entries(r)) })
	show("/v1/ledger/entries/{index}", func(r *http.Request) any {
		var index int64
		fmt.Sscan(r.PathValue("index"), &index)
		if index >= 342 {
			return nil
		}
		return f.entry(index)
	})
	f.mux.HandleFunc("GET /v1/events", f.events)
	f.changes()
}

func (f *fakeAPI) changes() {
	take := func(pattern string, status int, accept func(r *http.Request) any) {
		f.mux.HandleFunc("POST "+pattern, func(w http.ResponseWriter, r *http.Request) {
			f.mu.Lock()
			v := accept(r)
			f.mu.Unlock()
			if v == nil {
				w.WriteHeader(status)
				return
			}
			reply(w, status, v)
		})
	}
	for _, of := range []string{"attestations", "waivers"} {
		take("/v1/tenants/{tenant}/"+of, 201, func(r *http.Request) any {
			var in api.NewStatement
			_ = json.NewDecoder(r.Body).Decode(&in)
			f.statements = append(f.statements, in)
			if of == "waivers" {
				return f.access.decisions[2] // to be signed
			}
			return api.Statement{ID: "w-2", Duty: in.Duty, Text: in.Text}
		})
	}
	take("/v1/tenants/{tenant}/waivers/{id}/withdraw", 204, func(r *http.Request) any {
		f.ended = append(f.ended, r.PathValue("id"))
		return nil
	})
	take("/v1/tenants/{tenant}/subscriptions", 201, func(r *http.Request) any {
		var in api.NewSubscription
		_ = json.NewDecoder(r.Body).Decode(&in)
		f.bought = append(f.bought, in)
		return api.Subscription{ID: "s-9", Service: in.Service}
	})
	take("/v1/tenants/{tenant}/subscriptions/{id}/end", 200, func(r *http.Request) any {
		f.ended = append(f.ended, r.PathValue("id"))
		return api.Subscription{ID: r.PathValue("id")}
	})
	take("/v1/tenants/{tenant}/vms/{vm}/refresh", 202, func(*http.Request) any { return nil })
}

func (f *fakeAPI) services() []api.Service {
	out := []api.Service{{Name: "telemetry", Title: "Telemetry", Standard: true}}
	for _, name := range []string{"host-protection", "backup", "vulnerability-management", "encryption", "anti-malware"} {
		s := api.Service{Name: name, Title: name}
		for _, d := range f.duties {
			if slices.Contains(d.Services, name) {
				s.Duties = append(s.Duties, d.ID)
			}
		}
		out = append(out, s)
	}
	return out
}

func (f *fakeAPI) subscriptions() []api.Subscription {
	from, old := f.now.AddDate(0, 0, -17), f.now.AddDate(0, -3, 0)
	ended := f.now.AddDate(0, -2, 0)
	return []api.Subscription{
		{ID: "s-1", Tenant: "t-1", Service: "host-protection", Covers: api.Coverage{VDC: "d-1"}, From: from, Active: true},
		{ID: "s-2", Tenant: "t-1", Service: "backup", Covers: api.Coverage{All: true}, From: from, Active: true},
		{ID: "s-3", Tenant: "t-1", Service: "encryption", Covers: api.Coverage{VM: "v-2"}, From: old, To: &ended},
	}
}

var canned = []struct{ actor, action, subject string }{
	{"customer-administrator/p-3", "waiver.create", "waiver/w-1"}, {"provider-administrator/p-1", "session.start", "principal/p-1"},
	{"customer-administrator/p-3", "subscription.create", "subscription/s-1"}, {"provider-administrator/p-1", "vm.register", "vm/v-7"},
	{"provider-administrator/p-1", "catalogue.load", "catalogue/iso27017-cld@1.0.0"},
}

// entry i shares its time with its neighbours, so that pages must not rely on time alone.
func (f *fakeAPI) entry(i int64) api.LedgerEntry {
	act := canned[i%int64(len(canned))]
	e := api.LedgerEntry{Index: i, Time: f.now.Add(-time.Duration((342-i)/7) * time.Hour), Actor: act.actor, Action: act.action, Subject: act.subject}
	if words, ok := acts.Of(act.action); ok {
		e.Words = words.Words
	}
	if i%5 < 4 {
		e.Tenant = "t-1"
	}
	if act.action == "waiver.create" {
		e.Digests = map[string]string{"waiver": "sha256:3f79bb7b435b05321651daefd374cdc681dc06faa65e374e38337b88ca046dea"}
	}
	return e
}

func (f *fakeAPI) entries(r *http.Request) []api.LedgerEntry {
	until, err := time.Parse(time.RFC3339Nano, r.FormValue("until"))
	out := []api.LedgerEntry{}
	for i := int64(341); i >= 0; i-- {
		e := f.entry(i)
		if err == nil && !e.Time.Before(until) || r.FormValue("action") != "" && e.Action != r.FormValue("action") ||
			r.FormValue("tenant") != "" && e.Tenant != "t-1" {
			continue
		}
		out = append(out, e)
	}
	return out
}

// events streams what publish sends.
func (f *fakeAPI) events(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/event-stream")
	messages := make(chan string, 8)
	f.mu.Lock()
	f.watchers[messages] = true
	f.mu.Unlock()
	defer func() {
		f.mu.Lock()
		delete(f.watchers, messages)
		f.mu.Unlock()
	}()
	fmt.Fprint(w, ": hello\n\n")
	flush := http.NewResponseController(w).Flush
	for flush() == nil {
		select {
		case m, open := <-messages:
			if !open {
				return
			}
			fmt.Fprint(w, m)
		case <-r.Context().Done():
			return
		}
	}
}

// change gives a verdict and tells the watchers.
func (f *fakeAPI) change(duty, subject, verdict string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.verdicts[duty][subject] = verdict
	raw, _ := json.Marshal(api.Verdict{Duty: duty, Subject: api.Subject{Scope: "tenant", ID: subject, Name: "globex"}, Verdict: verdict})
	for w := range f.watchers {
		w <- "event: verdict\ndata: " + string(raw) + "\n\n"
	}
}

// tell sends an event to the watchers.
func (f *fakeAPI) tell(name, data string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for w := range f.watchers {
		w <- "event: " + name + "\ndata: " + data + "\n\n"
	}
}

// cut ends every event stream.
func (f *fakeAPI) cut() {
	f.mu.Lock()
	defer f.mu.Unlock()
	for w := range f.watchers {
		close(w)
		delete(f.watchers, w)
	}
}

func cannedFacts(tb testing.TB, m api.VM, now time.Time) []api.Fact {
	tb.Helper()
	out := []api.Fact{}
	for _, f := range []struct {
		kind, data string
	}{
		{"host.sshd", `{"installed":true,"running":true,"version":"OpenSSH_9.2p1","permit_root_login":"yes","password_authentication":true,"ports":[22],"ciphers":["chacha20-poly1305@openssh.com","aes256-gcm@openssh.com"]}`},
		{"host.mfa", `{"ssh":false,"sudo":false,"console":false,"modules":[]}`},
		{"host.os", `{"hostname":"web-01","family":"debian","id":"debian","version":"12","name":"Debian GNU/Linux 12 (bookworm)","kernel":"6.1.0-31-amd64","architecture":"x86_64","virtualization":"kvm","booted_at":"2026-02-20T08:00:00Z","support_ended":false}`},
		{"host.resources", `{"cpus":4,"cpu_busy":0.23,"load1":0.81,"memory_bytes":8589934592,"memory_used":5368709120,"disk_used_ratio":0.94,"fullest_mount":"/var","uptime_seconds":2424000,"processes":143}`},
		{"agent.state", `{"software":"demarc-agent 0.1.0","started_at":"2026-03-01T08:00:00Z","shed_facts":3,"services":[{"name":"telemetry","running":true,"coverage":[{"aspect":"packages","watched":true},{"aspect":"listeners","watched":true},{"aspect":"sshd","watched":true},{"aspect":"audit rules","watched":false,"reason":"auditd is not installed"},{"aspect":"boot loader","watched":false,"reason":"/boot/grub/grub.cfg cannot be read without root"}]},{"name":"hardening","running":false,"fault":"the rule set was refused","coverage":[{"aspect":"baseline","watched":false,"reason":"the service is stopped"}]}]}`},
		{"hardening.result", `{"baseline":"debian-level-1","version":"1.2.0","rules":162,"passed":131,"failed":3,"waived":2,"not_applicable":24,"unknown":2,"score":97.8,"results":[
			{"id":"ssh-root-login","title":"Root does not log in by SSH","category":"ssh","severity":"high","status":"fail","message":"PermitRootLogin is yes","remedy":"Set PermitRootLogin no in /etc/ssh/sshd_config.d/."},
			{"id":"core-dumps","title":"Core dumps are restricted","category":"kernel","severity":"low","status":"fail","message":"fs.suid_dumpable is 2","remedy":"Set fs.suid_dumpable to 0."},
			{"id":"audit-installed","title":"The audit daemon is installed","category":"audit","severity":"medium","status":"fail","message":"auditd is not installed","remedy":"apt-get install auditd"},
			{"id":"ssh-banner","title":"A banner is shown","category":"ssh","severity":"low","status":"pass","message":""}]}`},
		{"host.listeners", `{"listeners":[{"protocol":"tcp","address":"0.0.0.0","port":22,"process":"sshd","user":"root"},{"protocol":"tcp","address":"0.0.0.0","port":443,"process":"nginx","user":"www-data"},{"protocol":"tcp","address":"127.0.0.1","port":5432,"loopback":true,"process":"postgres","user":"postgres"}],"external":["tcp/22:sshd","tcp/443:nginx"],"processes":true}`},
		{"host.users", `{"users":[{"name":"root","uid":0,"shell":"/bin/bash","password":"set","can_login":true,"admin":true,"last_login":"2026-03-18T07:12:00Z"},{"name":"ada","uid":1000,"shell":"/bin/zsh","password":"locked","can_login":true,"admin":true,"last_login":"2026-03-19T14:02:00Z"},{"name":"daemon","uid":1,"shell":"/usr/sbin/nologin","password":"locked"}]}`},
		{"host.updates", `{"manager":"dpkg","pending":14,"pending_security":2,"oldest_days":6,"lists_at":"2026-03-20T06:00:00Z","automatic":false,"security":[{"name":"openssl","installed":"3.0.15-1","candidate":"3.0.16-1"},{"name":"libxml2","installed":"2.9.14-1","candidate":"2.9.14-2"}]}`},
		{"host.reboot", `{"needed":true,"reasons":["a newer kernel is installed"]}`},
	} {
		if !json.Valid([]byte(f.data)) {
			tb.Fatalf("canned fact %s is not JSON", f.kind)
		}
		out = append(out, api.Fact{
			Subject: api.Subject{Scope: "vm", Tenant: "t-1", ID: m.ID, Name: m.Name}, Kind: f.kind, Data: json.RawMessage(f.data),
			Digest: "sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08", ObservedAt: now.Add(-25 * time.Second),
			ChangedAt: now.AddDate(0, 0, -11), Source: "telemetry",
		})
	}
	return out
}
