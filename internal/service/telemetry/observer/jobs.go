package observer

import (
	"cmp"
	"context"
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/demarc/demarc/internal/service/telemetry"
)

const maxJobs = 1000

func collectJobs(_ context.Context, p *probe) (any, error) {
	var f telemetry.Jobs
	f.Jobs = append(f.Jobs, parseCrontab([]byte(p.config("/etc/crontab")), "/etc/crontab", "")...)
	for _, file := range p.glob("/etc/cron.d/*") {
		if strings.Contains(baseName(file), ".") {
			continue // cron skips them
		}
		f.Jobs = append(f.Jobs, parseCrontab([]byte(p.config(file)), file, "")...)
	}
	for _, dir := range []string{"/var/spool/cron/crontabs", "/var/spool/cron", "/etc/crontabs"} {
		names, err := p.list(dir)
		if err != nil {
			p.gapUnlessAbsent(err)
			continue
		}
		for _, user := range names {
			file := path.Join(dir, user)
			if info, err := p.stat(file); err != nil || !info.Mode().IsRegular() || strings.HasPrefix(user, ".") {
				continue
			}
			f.Jobs = append(f.Jobs, parseCrontab([]byte(p.config(file)), file, user)...)
		}
	}
	for _, period := range []string{"hourly", "daily", "weekly", "monthly"} {
		for _, file := range p.glob("/etc/cron." + period + "/*") {
			if !strings.Contains(baseName(file), ".") && baseName(file) != "placeholder" {
				f.Jobs = append(f.Jobs, telemetry.Job{Kind: "cron", User: "root", Schedule: "@" + period, Command: file, Source: path.Dir(file)})
			}
		}
	}
	f.Jobs = append(f.Jobs, atJobs(p)...)
	f.Jobs = append(f.Jobs, timerJobs(p)...)
	if len(f.Jobs) > maxJobs {
		p.gap("only the first %d scheduled jobs are looked at", maxJobs)
		f.Jobs = f.Jobs[:maxJobs]
	}
	slices.SortFunc(f.Jobs, func(a, b telemetry.Job) int {
		return cmp.Or(strings.Compare(a.Kind, b.Kind), strings.Compare(a.Source, b.Source), strings.Compare(a.User, b.User),
			strings.Compare(a.Command, b.Command), strings.Compare(a.Schedule, b.Schedule))
	})
	f.CronActive = p.running("cron", "crond")
	f.CronAllow = p.exists("/etc/cron.allow")
	f.AtAllow = p.exists("/etc/at.allow") || p.anyExists("/usr/bin/at", "/usr/sbin/atd") == ""
	for _, name := range append([]string{"/etc/crontab", "/etc/cron.d", "/etc/cron.hourly", "/etc/cron.daily", "/etc/cron.weekly",
		"/etc/cron.monthly", "/etc/cron.allow", "/etc/at.allow"}, p.glob("/etc/cron.d/*")...) {
		if info, err := p.stat(name); err == nil && info.Mode().Perm()&0o066 != 0 {
			f.LoosePaths = append(f.LoosePaths, name+" "+octal(info))
		}
	}
	slices.Sort(f.LoosePaths)
	return f, nil
}

// parseCrontab parses crontab(5). With user "" the sixth field names the user,
// as in /etc/crontab. Secrets in commands are masked; what follows an
// unescaped % is the command's input and is left out.
func parseCrontab(b []byte, source, user string) []telemetry.Job {
	var out []telemetry.Job
	lines(b, func(_ int, line string) {
		if line == "" || line[0] == '#' || len(out) >= maxJobs {
			return
		}
		fields := 5
		if line[0] == '@' {
			fields = 1
		}
		rest := line
		var schedule []string
		for range fields {
			var w string
			w, rest = cutWord(rest)
			schedule = append(schedule, w)
		}
		// A first field with = and no digit or star is a variable of the environment.
		if strings.Contains(schedule[0], "=") || fields == 5 && !strings.ContainsAny(schedule[0][:1], "0123456789*") {
			return
		}
		j := telemetry.Job{Kind: "cron", User: user, Schedule: strings.Join(schedule, " "), Source: source}
		if user == "" {
			j.User, rest = cutWord(rest)
		}
		if i := unescapedPercent(rest); i >= 0 {
			rest = rest[:i]
		}
		if j.Command = maskSecrets(strings.TrimSpace(rest)); j.Command != "" && j.User != "" {
			out = append(out, j)
		}
	})
	return out
}

func unescapedPercent(s string) int {
	for i := 0; i < len(s); i++ {
		switch s[i] {
		case '\\':
			i++
		case '%':
			return i
		}
	}
	return -1
}

// atJobs lists the queue of at(1). The script holds the whole environment, so
// only its last line, the command, is kept.
func atJobs(p *probe) []telemetry.Job {
	var out []telemetry.Job
	acc, _ := p.accounts()
	for _, dir := range []string{"/var/spool/cron/atjobs", "/var/spool/at"} {
		for _, file := range p.glob(dir + "/[a-zA-Z=]*") {
			info, err := p.stat(file)
			if err != nil || !info.Mode().IsRegular() || len(out) >= maxJobs {
				continue
			}
			user := ""
			if uid, _ := ownerOf(info); acc != nil {
				user = acc.userName(uid)
			}
			last := ""
			lines([]byte(p.config(file)), func(_ int, line string) {
				if line != "" && !strings.HasPrefix(line, "#") && !strings.HasPrefix(line, "}") {
					last = line
				}
			})
			out = append(out, telemetry.Job{Kind: "at", User: user, Schedule: "once", Command: maskSecrets(last), Source: file})
		}
	}
	return out
}

// timerJobs are the enabled or active systemd timers, from their unit files.
func timerJobs(p *probe) []telemetry.Job {
	u, err := p.units()
	if err != nil {
		p.gap("timers are not seen: %s", err)
		return nil
	}
	if u.manager == "none" {
		p.gap("timers are not seen: systemd does not run here")
		return nil
	}
	var out []telemetry.Job
	for _, x := range u.units {
		name, ok := strings.CutSuffix(x.Name, ".timer")
		if !ok || !u.enabled[x.Name] && !u.active[x.Name] {
			continue
		}
		file, text := p.unitFile(x.Name)
		j := telemetry.Job{Kind: "timer", User: "root", Source: file}
		service := name + ".service"
		var when []string
		for _, l := range joinedLines([]byte(text)) {
			key, value, _ := strings.Cut(l, "=")
			switch key = strings.TrimSpace(key); {
			case key == "Unit":
				service = strings.TrimSpace(value)
			case key == "OnCalendar":
				when = append(when, strings.TrimSpace(value))
			case strings.HasPrefix(key, "On") && strings.HasSuffix(key, "Sec"):
				when = append(when, fmt.Sprintf("%s=%s", key, strings.TrimSpace(value)))
			}
		}
		j.Schedule = strings.Join(when, "; ")
		_, text = p.unitFile(service)
		for _, l := range joinedLines([]byte(text)) {
			if v, ok := strings.CutPrefix(l, "ExecStart="); ok && j.Command == "" {
				j.Command = maskSecrets(strings.TrimLeft(v, "-@:+!"))
			}
			if v, ok := strings.CutPrefix(l, "User="); ok {
				j.User = v
			}
		}
		if j.Command == "" {
			j.Command = service
		}
		out = append(out, j)
	}
	return out
}

// unitFile finds the file that defines a unit, and the text of it and of its drop-ins.
func (p *probe) unitFile(name string) (file, text string) {
	if strings.Contains(name, "/") {
		return "", ""
	}
	template := name
	if i, j := strings.IndexByte(name, '@'), strings.LastIndexByte(name, '.'); i > 0 && j > i {
		template = name[:i+1] + name[j:]
	}
	for _, dir := range []string{"/etc/systemd/system", "/run/systemd/system", "/usr/lib/systemd/system", "/lib/systemd/system"} {
		for _, n := range []string{name, template} {
			if f := path.Join(dir, n); p.exists(f) {
				text = p.config(f)
				for _, extra := range p.glob("/etc/systemd/system/" + name + ".d/*.conf") {
					text += "\n" + p.config(extra)
				}
				return f, text
			}
		}
	}
	return "systemd", ""
}
