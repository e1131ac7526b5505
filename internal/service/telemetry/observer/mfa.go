package observer

import (
	"context"
	"slices"
	"strings"

	"github.com/demarc/demarc/internal/service/telemetry"
)

// secondFactors are PAM modules that ask for something other than a password.
var secondFactors = []string{
	"pam_google_authenticator.so", "pam_oath.so", "pam_totp.so", "pam_otpw.so", "pam_u2f.so", "pam_yubico.so",
	"pam_duo.so", "pam_radius_auth.so", "pam_privacyidea.py", "pam_p11.so", "pam_pkcs11.so", "pam_okta_asa.so",
	"pam_rsa.so", "pam_securid.so", "pam_linotp.so", "pam_mfa.so", "pam_2fa.so",
}

func collectMFA(ctx context.Context, p *probe) (any, error) {
	var f telemetry.MFA
	required := map[string]bool{}
	for _, service := range []string{"sshd", "sudo", "sudo-i", "login", "su", "gdm-password"} {
		for _, e := range p.pam(service) {
			module := e.module
			if module == "pam_python.so" && len(e.args) > 0 {
				module = e.args[0][strings.LastIndexByte(e.args[0], '/')+1:]
			}
			if e.kind != "auth" || !slices.Contains(secondFactors, module) {
				continue
			}
			f.Modules = append(f.Modules, service+":"+module+":"+e.control)
			// With nullok, who has not enrolled a factor passes without one.
			if e.mandatory() && !e.has("nullok") {
				required[service] = true
			}
		}
	}
	f.Modules = uniq(f.Modules)
	f.Sudo, f.Console = required["sudo"], required["login"]
	o := p.sshdSettings()
	f.SSH = methodsDiffer(o.last("authenticationmethods"), required["sshd"]) ||
		required["sshd"] && o.last("usepam") == "yes" && o.last("kbdinteractiveauthentication") == "yes" &&
			o.last("pubkeyauthentication") == "no"
	f.HardwareKeysOnly = hardwareKeysOnly(ctx, p, o)
	return f, nil
}

// methodsDiffer reports whether every alternative of AuthenticationMethods asks
// for two methods of different kind. keyboard-interactive counts as another
// kind than a password only where PAM asks for a second factor in it. A public
// key alone does not pass through PAM's auth stack, so it is one factor.
func methodsDiffer(methods string, pamFactor bool) bool {
	alternatives := strings.Fields(methods)
	if len(alternatives) == 0 || methods == "any" {
		return false
	}
	for _, alternative := range alternatives {
		kinds := map[string]bool{}
		for m := range strings.SplitSeq(alternative, ",") {
			method, _, _ := strings.Cut(m, ":")
			switch method {
			case "password":
				kinds["knowledge"] = true
			case "keyboard-interactive":
				kinds["knowledge"] = true
				if pamFactor {
					kinds["device"] = true
				}
			case "publickey":
				kinds["key"] = true
			case "gssapi-with-mic":
				kinds["ticket"] = true
			}
		}
		if len(kinds) < 2 {
			return false
		}
	}
	return true
}

func hardwareKeysOnly(ctx context.Context, p *probe, o *sshdOptions) bool {
	if o.last("passwordauthentication") != "no" || o.last("kbdinteractiveauthentication") != "no" {
		return false
	}
	fact, err := collectKeys(ctx, p)
	if err != nil {
		return false
	}
	keys := fact.(telemetry.AuthorizedKeys).Keys
	for _, k := range keys {
		if !strings.HasPrefix(k.Type, "sk-") {
			return false
		}
	}
	return len(keys) > 0
}
