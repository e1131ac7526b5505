package observer

import (
	"encoding/json"
	"io"
	"os"
	"regexp"
	"strconv"
	"strings"
	"time"
)

const maxAuthLog = 4 << 20

// What sshd and login write about a login, across their versions.
var (
	sshAccepted = regexp.MustCompile(`^Accepted (\S+) for (\S+) from (\S+) port (\d+)(?: ssh2)?(?:: \S+ (SHA256:\S+)(?: ID (.{1,200}?) \(serial \d+\) CA \S+ (SHA256:\S+))?)?`)
	sshFailed   = regexp.MustCompile(`^Failed (\S+) for (?:invalid user )?(.*) from (\S+) port (\d+)`)
	sshInvalid  = regexp.MustCompile(`^Invalid user (.*) from (\S+) port (\d+)`)
	ttyLogin    = regexp.MustCompile(`^(?:LOGIN ON \S+ BY (\S+)|(ROOT) LOGIN ON )`)
	ttyFailed   = regexp.MustCompile(`^FAILED LOGIN .*FOR '?([^',]*)'?`)
)

// parseAttempt reads one message of sshd or login.
func parseAttempt(program, message string, at time.Time) (attempt, bool) {
	switch program {
	case "sshd", "sshd-session":
		if m := sshAccepted.FindStringSubmatch(message); m != nil {
			return attempt{at: at, method: m[1], user: m[2], source: m[3], key: m[5], certificate: m[6], authority: m[7], ok: true, connection: m[3] + " " + m[4] + " ok"}, true
		}
		if m := sshFailed.FindStringSubmatch(message); m != nil && m[1] != "none" {
			return attempt{at: at, method: m[1], user: m[2], source: m[3], connection: m[3] + " " + m[4]}, true
		}
		if m := sshInvalid.FindStringSubmatch(message); m != nil {
			return attempt{at: at, user: m[1], source: m[2], connection: m[2] + " " + m[3], implied: true}, true
		}
	case "login":
		if m := ttyLogin.FindStringSubmatch(message); m != nil {
			return attempt{at: at, user: strings.ToLower(m[2]) + m[1], method: "password", ok: true}, true
		}
		if m := ttyFailed.FindStringSubmatch(message); m != nil {
			return attempt{at: at, user: m[1], method: "password"}, true
		}
	}
	return attempt{}, false
}

// parseJournal parses journalctl -o json: an object a line.
func parseJournal(b []byte) (out []attempt, cursor string) {
	lines(b, func(_ int, line string) {
		var e struct {
			Cursor  string          `json:"__CURSOR"`
			Time    string          `json:"__REALTIME_TIMESTAMP"` // microseconds
			Message json.RawMessage `json:"MESSAGE"`
		}
		if json.Unmarshal([]byte(line), &e) != nil {
			return
		}
		cursor = e.Cursor
		us, err := strconv.ParseInt(e.Time, 10, 64)
		message := journalText(e.Message)
		if err != nil || message == "" || len(out) >= maxLoginMarks {
			return
		}
		at := time.UnixMicro(us).UTC()
		// Messages of the two programs do not overlap, so both forms are tried.
		if a, ok := parseAttempt("sshd", message, at); ok {
			out = append(out, a)
		} else if a, ok := parseAttempt("login", message, at); ok {
			out = append(out, a)
		}
	})
	return out, cursor
}

// journalText is a field as text; one that is not UTF-8 comes as a list of bytes.
func journalText(raw json.RawMessage) string {
	var s string
	if json.Unmarshal(raw, &s) == nil {
		return s
	}
	var bytes []uint16
	if json.Unmarshal(raw, &bytes) != nil {
		return ""
	}
	b := make([]byte, len(bytes))
	for i, c := range bytes {
		b[i] = byte(c)
	}
	return string(b)
}

// parseAuthLog parses a file of syslog lines with RFC 3339 times or those of
// RFC 3164, which lack the year and are in local time.
func parseAuthLog(b []byte, now time.Time) []attempt {
	var out []attempt
	lines(b, func(_ int, line string) {
		at, rest, ok := logTime(line, now)
		if !ok || len(out) >= maxLoginMarks {
			return
		}
		_, rest = cutWord(rest) // host
		tag, message, ok := strings.Cut(rest, ": ")
		if !ok {
			return
		}
		program, _, _ := strings.Cut(tag, "[")
		if a, ok := parseAttempt(program, message, at); ok {
			out = append(out, a)
		}
	})
	return out
}

func logTime(line string, now time.Time) (at time.Time, rest string, ok bool) {
	word, rest := cutWord(line)
	if t, err := time.Parse(time.RFC3339Nano, word); err == nil {
		return t.UTC(), rest, true
	}
	if len(line) < 16 {
		return at, "", false
	}
	t, err := time.ParseInLocation(time.Stamp, line[:15], now.Location())
	if err != nil {
		return at, "", false
	}
	t = t.AddDate(now.Year(), 0, 0)
	if t.After(now.Add(48 * time.Hour)) {
		t = t.AddDate(-1, 0, 0)
	}
	return t.UTC(), strings.TrimSpace(line[15:]), true
}

// tail returns whole lines of the end of a file.
func (p *probe) tail(name string, limit int64) ([]byte, error) {
	f, err := os.Open(p.path(name))
	if err != nil {
		return nil, plain(name, err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, plain(name, err)
	}
	start := max(info.Size()-limit, 0)
	b, err := io.ReadAll(io.NewSectionReader(f, start, limit))
	if err != nil {
		return nil, plain(name, err)
	}
	if start > 0 {
		_, after, _ := strings.Cut(string(b), "\n")
		return []byte(after), nil
	}
	return b, nil
}
