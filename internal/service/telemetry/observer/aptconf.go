package observer

import "strings"

// aptConfig reads apt.conf(5) as apt does: the parts in the order of their
// names, then apt.conf. Names are in lower case, joined by "::"; later values win.
func (p *probe) aptConfig() map[string]string {
	out := map[string]string{}
	for _, file := range append(p.glob("/etc/apt/apt.conf.d/*"), "/etc/apt/apt.conf") {
		if n := baseName(file); strings.Contains(n, ".") && !strings.HasSuffix(n, ".conf") {
			continue // apt skips other endings
		}
		for k, v := range parseAptConf([]byte(p.config(file))) {
			out[k] = v
		}
	}
	return out
}

// parseAptConf parses "A::B "value";" and nested "A { B "value"; };".
func parseAptConf(b []byte) map[string]string {
	out := map[string]string{}
	var scope []string
	var words []string
	for _, t := range aptTokens(b) {
		switch t {
		case "{":
			name := ""
			if len(words) > 0 {
				name = words[0]
			}
			if len(scope) < 32 {
				scope = append(scope, name)
			}
			words = nil
		case "}":
			if len(scope) > 0 {
				scope = scope[:len(scope)-1]
			}
			words = nil
		case ";":
			if len(words) > 0 && len(out) < 5000 {
				key, value := words[0], ""
				if len(words) > 1 {
					value = words[1]
				}
				out[strings.ToLower(strings.Join(append(append([]string{}, scope...), key), "::"))] = value
			}
			words = nil
		default:
			words = append(words, t)
		}
	}
	return out
}

// aptTokens splits into words, quoted values, braces and semicolons, without
// // and # and /* comments */.
func aptTokens(b []byte) []string {
	var out []string
	s := string(b)
	for i := 0; i < len(s) && len(out) < 50000; {
		switch c := s[i]; {
		case c == ' ' || c == '\t' || c == '\n' || c == '\r':
			i++
		case c == '#' || strings.HasPrefix(s[i:], "//"):
			i = endOf(s, i, "\n")
		case strings.HasPrefix(s[i:], "/*"):
			i = endOf(s, i+2, "*/")
		case c == '{' || c == '}' || c == ';':
			out = append(out, s[i:i+1])
			i++
		case c == '"':
			end := strings.IndexByte(s[i+1:], '"')
			if end < 0 {
				return out
			}
			out = append(out, s[i+1:i+1+end])
			i += end + 2
		default:
			j := i
			for j < len(s) && !strings.ContainsRune(" \t\r\n{};\"", rune(s[j])) {
				j++
			}
			out = append(out, s[i:j])
			i = j
		}
	}
	return out
}

// endOf is the index after the next mark at or after i.
func endOf(s string, i int, mark string) int {
	j := strings.Index(s[min(i, len(s)):], mark)
	if j < 0 {
		return len(s)
	}
	return i + j + len(mark)
}

// aptSource is one archive of sources.list(5).
type aptSource struct {
	uri, suite string
	trusted    bool
}

// aptSources reads both forms of sources.list(5).
func (p *probe) aptSources() []aptSource {
	var out []aptSource
	for _, file := range append(p.glob("/etc/apt/sources.list.d/*.list"), "/etc/apt/sources.list") {
		out = append(out, parseSourcesList([]byte(p.config(file)))...)
	}
	for _, file := range p.glob("/etc/apt/sources.list.d/*.sources") {
		out = append(out, parseSources([]byte(p.config(file)))...)
	}
	return out
}

func parseSourcesList(b []byte) []aptSource {
	var out []aptSource
	lines(b, func(_ int, line string) {
		rest, ok := strings.CutPrefix(line, "deb ")
		if !ok || len(out) >= 500 {
			return
		}
		var x aptSource
		rest = strings.TrimSpace(rest)
		if strings.HasPrefix(rest, "[") {
			options, after, ok := strings.Cut(rest[1:], "]")
			if !ok {
				return
			}
			for _, o := range strings.Fields(strings.ToLower(options)) {
				x.trusted = x.trusted || o == "trusted=yes" || o == "allow-insecure=yes"
			}
			rest = after
		}
		if f := strings.Fields(rest); len(f) >= 2 {
			x.uri, x.suite = f[0], f[1]
			out = append(out, x)
		}
	})
	return out
}

func parseSources(b []byte) []aptSource {
	var out []aptSource
	fields := map[string]string{}
	stanzas(b, func(field, value string) {
		if field != "" {
			fields[field] = value
			return
		}
		if fields["enabled"] != "no" && strings.Contains(fields["types"]+" ", "deb ") {
			for _, uri := range strings.Fields(fields["uris"]) {
				for _, suite := range strings.Fields(fields["suites"]) {
					if len(out) < 500 {
						out = append(out, aptSource{uri, suite, fields["trusted"] == "yes" || fields["allow-insecure"] == "yes"})
					}
				}
			}
		}
		fields = map[string]string{}
	})
	return out
}
