package observer

import "regexp"

// mask stands for a secret that was on a command line.
const mask = "****"

const secretName = `(?:pass|secret|token|api[_-]?key|access[_-]?key|private[_-]?key|credential|pwd)`

var secretPatterns = []struct {
	find    *regexp.Regexp
	replace string
}{
	// user:password@ in a URL.
	{regexp.MustCompile(`([A-Za-z][A-Za-z0-9+.-]*://)[^/\s'"@]*:[^/\s'"@]*@`), "${1}" + mask + "@"},
	// HTTP headers, quoted or not.
	{regexp.MustCompile(`(?i)\b(authorization|proxy-authorization|x-api-key|x-auth-token|cookie)(\s*:\s*)[^'"]+`), "${1}${2}" + mask},
	// NAME=value and "name: value", where the name speaks of a secret.
	{regexp.MustCompile(`(?i)([A-Za-z0-9_.-]*` + secretName + `[A-Za-z0-9_.-]*)(\s*=\s*|\s*:\s+)("[^"]*"|'[^']*'|[^\s'"]+)`), "${1}${2}" + mask},
	// --name value.
	{regexp.MustCompile(`(?i)(\s--?[A-Za-z0-9_.-]*` + secretName + `[A-Za-z0-9_.-]*)(\s+)("[^"]*"|'[^']*'|[^\s'"-][^\s'"]*)`), "${1}${2}" + mask},
	// mysql -pSECRET, sshpass -p SECRET, curl -u user:secret.
	{regexp.MustCompile(`\b(mysql\S*|mariadb\S*)(\s[^|;&]*?)\s-p([^\s'"]+|'[^']*'|"[^"]*")`), "${1}${2} -p" + mask},
	{regexp.MustCompile(`\b(sshpass\s+-p|curl\s[^|;&]*?-u|curl\s[^|;&]*?--user|wget\s[^|;&]*?--user|ldap\w+\s[^|;&]*?-w|smbclient\s[^|;&]*?-U)(\s*=?\s*)(\S+)`), "${1}${2}" + mask},
	// Long random words: AWS keys, JSON web tokens, GitHub tokens.
	{regexp.MustCompile(`\b(AKIA[0-9A-Z]{16}|gh[pousr]_[A-Za-z0-9]{20,}|glpat-[A-Za-z0-9_-]{20,}|xox[abp]-[A-Za-z0-9-]+|eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_.-]+)`), mask},
}

// maskSecrets replaces what looks like a secret in a command line. It rather
// masks too much than too little.
func maskSecrets(s string) string {
	if len(s) > maxString {
		s = s[:maxString]
	}
	for _, p := range secretPatterns {
		s = p.find.ReplaceAllString(s, p.replace)
	}
	return s
}
