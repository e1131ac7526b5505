package observer

import (
	"errors"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/demarc/demarc/internal/service/telemetry"
)

const (
	maxSudoRules    = 2000
	maxSudoFiles    = 200
	maxSudoIncludes = 16
)

// sudoers is the content of sudoers(5) and what it includes.
type sudoers struct {
	rules    []telemetry.SudoRule
	defaults []sudoDefault
	aliases  map[string][]string
	files    []string
	cut      bool
}

// sudoDefault is one setting of a Defaults line; scope is "" for all.
type sudoDefault struct {
	scope, name, value string
	off                bool
}

// sudoers parses /etc/sudoers and what it includes.
func (p *probe) sudoers() (*sudoers, error) {
	s := &sudoers{aliases: map[string][]string{}}
	if err := s.load(p, "/etc/sudoers", 0); err != nil {
		return nil, err
	}
	s.resolve()
	return s, nil
}

// resolve gives every member of a user alias its own rule; aliases may be
// defined after their use.
func (s *sudoers) resolve() {
	var out []telemetry.SudoRule
	for _, r := range s.rules {
		for _, who := range s.expand([]string{r.Who}, 0) {
			if len(out) == maxSudoRules {
				s.cut = true
				break
			}
			r.Who = who
			out = append(out, r)
		}
	}
	s.rules = out
}

// load parses one file and, in place, those that it includes.
func (s *sudoers) load(p *probe, name string, depth int) error {
	if depth > maxSudoIncludes || len(s.files) >= maxSudoFiles {
		return errors.New("sudoers files include each other too deeply; visudo -c shows where")
	}
	b, err := p.read(name)
	if err != nil {
		return err
	}
	s.files = append(s.files, name)
	for _, l := range logicalLines(b) {
		target, dir, ok := sudoInclude(l.text)
		if !ok {
			s.line(l.text, name, l.number)
			continue
		}
		if !path.IsAbs(target) {
			target = path.Join(path.Dir(name), target)
		}
		if !dir {
			if err := s.load(p, target, depth+1); err != nil && !absent(err) {
				return err
			}
			continue
		}
		names, err := p.list(target)
		if err != nil && !absent(err) {
			return err
		}
		for _, n := range names {
			// sudo skips names with a dot and backups of editors.
			if strings.Contains(n, ".") || strings.HasSuffix(n, "~") {
				continue
			}
			if err := s.load(p, path.Join(target, n), depth+1); err != nil && !absent(err) {
				return err
			}
		}
	}
	return nil
}

type logicalLine struct {
	number int
	text   string
}

// logicalLines joins lines that end in a backslash and drops comments. A '#'
// before a number is a uid, and #include is no comment.
func logicalLines(b []byte) []logicalLine {
	var out []logicalLine
	joined, start := "", 0
	lines(b, func(n int, line string) {
		if joined == "" {
			start = n
		}
		if len(joined) > 64<<10 {
			joined = ""
		}
		if part, ok := strings.CutSuffix(line, `\`); ok {
			joined += part + " "
			return
		}
		text := strings.TrimSpace(stripSudoComment(joined + line))
		joined = ""
		if text != "" {
			out = append(out, logicalLine{start, text})
		}
	})
	return out
}

func stripSudoComment(line string) string {
	if strings.HasPrefix(line, "#include") {
		return line
	}
	quoted := false
	for i := 0; i < len(line); i++ {
		switch line[i] {
		case '\\':
			i++
		case '"':
			quoted = !quoted
		case '#':
			if !quoted && (i+1 >= len(line) || line[i+1] < '0' || line[i+1] > '9') {
				return line[:i]
			}
		}
	}
	return line
}

func sudoInclude(text string) (target string, dir, ok bool) {
	for _, mark := range []string{"#", "@"} {
		if rest, found := strings.CutPrefix(text, mark+"includedir "); found {
			return strings.Trim(strings.TrimSpace(rest), `"`), true, true
		}
		if rest, found := strings.CutPrefix(text, mark+"include "); found {
			return strings.Trim(strings.TrimSpace(rest), `"`), false, true
		}
	}
	return "", false, false
}

// line takes in one logical line: a Defaults entry, an alias or a rule.
func (s *sudoers) line(text, file string, number int) {
	word, rest, _ := strings.Cut(text, " ")
	if w, r, ok := strings.Cut(word, "\t"); ok {
		word, rest = w, r+" "+rest
	}
	switch {
	case strings.HasPrefix(word, "Defaults"):
		s.addDefaults(strings.TrimPrefix(word, "Defaults"), rest)
	case word == "User_Alias", word == "Runas_Alias", word == "Host_Alias", word == "Cmnd_Alias", word == "Cmd_Alias":
		for def := range strings.SplitSeq(rest, ":") {
			name, list, ok := strings.Cut(def, "=")
			if ok && len(s.aliases) < maxSudoRules {
				s.aliases[strings.TrimSpace(name)] = splitList(list)
			}
		}
	default:
		s.addRules(text, file, number)
	}
}

func (s *sudoers) addDefaults(scope, rest string) {
	for _, item := range splitList(rest) {
		d := sudoDefault{scope: scope}
		name, value, has := strings.Cut(item, "=")
		name = strings.TrimRight(strings.TrimSpace(name), "+-")
		d.off = strings.HasPrefix(name, "!")
		d.name = strings.TrimLeft(name, "! ")
		if has {
			d.value = strings.Trim(strings.TrimSpace(value), `"`)
		}
		if len(s.defaults) < maxSudoRules {
			s.defaults = append(s.defaults, d)
		}
	}
}

// addRules takes in "who hosts = (as) TAG: commands : hosts2 = ...", one rule
// for each member of who and each list of hosts.
func (s *sudoers) addRules(text, file string, number int) {
	who, spec := cutWho(text)
	if spec == "" {
		return
	}
	for part := range splitUnescaped(spec, ':') {
		hosts, commands, ok := strings.Cut(part, "=")
		if !ok {
			continue
		}
		r := telemetry.SudoRule{Hosts: strings.TrimSpace(hosts), As: "root", File: file, Line: number}
		commands = strings.TrimSpace(commands)
		if rest, ok := strings.CutPrefix(commands, "("); ok {
			as, after, _ := strings.Cut(rest, ")")
			r.As, commands = strings.TrimSpace(as), strings.TrimSpace(after)
		}
		r.Tags, r.Commands = cutTags(commands)
		for _, w := range splitList(who) {
			if len(s.rules) == maxSudoRules {
				s.cut = true
				return
			}
			r.Who = w
			s.rules = append(s.rules, r)
		}
	}
}

// cutWho splits off the list of users, whose members a comma joins.
func cutWho(text string) (who, rest string) {
	for i := 0; i < len(text); i++ {
		switch text[i] {
		case '\\':
			i++
		case '"':
			if j := strings.IndexByte(text[i+1:], '"'); j >= 0 {
				i += j + 1
			}
		case ' ', '\t':
			rest := strings.TrimLeft(text[i:], " \t")
			if strings.HasSuffix(text[:i], ",") || strings.HasPrefix(rest, ",") || strings.HasSuffix(text[:i], "!") {
				i = len(text) - len(rest)
				if strings.HasPrefix(rest, ",") {
					continue
				}
				i--
				continue
			}
			return text[:i], rest
		}
	}
	return text, ""
}

// sudoTags are the tags that a command list may begin with.
var sudoTags = []string{"NOPASSWD", "PASSWD", "NOEXEC", "EXEC", "SETENV", "NOSETENV", "LOG_INPUT", "NOLOG_INPUT",
	"LOG_OUTPUT", "NOLOG_OUTPUT", "FOLLOW", "NOFOLLOW", "MAIL", "NOMAIL", "INTERCEPT", "NOINTERCEPT"}

func cutTags(commands string) (tags, rest string) {
	var found []string
	for {
		name, after, ok := strings.Cut(commands, ":")
		if !ok || !slices.Contains(sudoTags, strings.TrimSpace(name)) {
			break
		}
		found = append(found, strings.TrimSpace(name))
		commands = strings.TrimSpace(after)
	}
	// A tag may also stand before a later command of the list.
	for _, c := range splitList(commands) {
		if name, _, ok := strings.Cut(c, ":"); ok && slices.Contains(sudoTags, strings.TrimSpace(name)) {
			found = append(found, strings.TrimSpace(name))
		}
	}
	return strings.Join(found, " "), commands
}

// expand replaces aliases by their members.
func (s *sudoers) expand(list []string, depth int) []string {
	var out []string
	for _, item := range list {
		if members, ok := s.aliases[item]; ok && depth < 8 && len(out) < maxSudoRules {
			out = append(out, s.expand(members, depth+1)...)
			continue
		}
		out = append(out, item)
	}
	return out
}

// splitList splits at commas that are neither escaped nor quoted.
func splitList(s string) []string {
	var out []string
	for item := range splitUnescaped(s, ',') {
		if item = strings.TrimSpace(item); item != "" {
			out = append(out, item)
		}
	}
	return out
}

// splitUnescaped yields the parts of s between separators. A ':' after a tag
// or inside a command's arguments is told from a separator by what precedes it.
func splitUnescaped(s string, sep byte) func(func(string) bool) {
	return func(yield func(string) bool) {
		start, quoted, paren := 0, false, 0
		for i := 0; i < len(s); i++ {
			switch c := s[i]; {
			case c == '\\':
				i++
			case c == '"':
				quoted = !quoted
			case c == '(':
				paren++
			case c == ')':
				paren--
			case c == sep && !quoted && paren <= 0:
				if sep == ':' && slices.Contains(sudoTags, lastWord(s[start:i])) {
					continue
				}
				if !yield(s[start:i]) {
					return
				}
				start = i + 1
			}
		}
		yield(s[min(start, len(s)):])
	}
}

func lastWord(s string) string {
	s = strings.TrimSpace(s)
	return s[strings.LastIndexAny(s, " \t,)=")+1:]
}

// fullRights lists who may run everything as root.
func (s *sudoers) fullRights() []string {
	var out []string
	for _, r := range s.rules {
		as, _, _ := strings.Cut(r.As, ":")
		targets := s.expand(splitList(as), 0)
		root := strings.TrimSpace(as) == "" && r.As == "" || slices.Contains(targets, "ALL") || slices.Contains(targets, "root") || slices.Contains(targets, "#0")
		all := slices.ContainsFunc(s.expand(splitList(r.Commands), 0), func(c string) bool {
			return lastWord(strings.ReplaceAll(c, ":", " ")) == "ALL" && !strings.HasPrefix(c, "!")
		})
		if root && all && !strings.HasPrefix(r.Who, "!") {
			out = append(out, r.Who)
		}
	}
	return uniq(out)
}

// setting returns the last value of a global setting.
func (s *sudoers) setting(name string) (d sudoDefault, ok bool) {
	for _, e := range s.defaults {
		if e.name == name && e.scope == "" {
			d, ok = e, true
		}
	}
	return d, ok
}

func (s *sudoers) on(name string) bool {
	d, ok := s.setting(name)
	return ok && !d.off
}

// timeout is timestamp_timeout in minutes; 15 is sudo's default, a negative
// value means that the session never times out.
func (s *sudoers) timeout() float64 {
	d, ok := s.setting("timestamp_timeout")
	if !ok {
		return 15
	}
	if d.off {
		return 0
	}
	v, err := strconv.ParseFloat(d.value, 64)
	if err != nil || v != v || v > 1e9 || v < -1e9 {
		return 15
	}
	return v
}
