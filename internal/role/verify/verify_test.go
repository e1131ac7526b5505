package verify_test

import (
	"bytes"
	"encoding/json"
	"testing"

	"github.com/demarc/demarc/api"
	"github.com/demarc/demarc/internal/cli"
	"github.com/demarc/demarc/internal/role/verify"
)

// TestCatalogueWithoutServer lists the duties where no server answers, or none
// is named.
func TestCatalogueWithoutServer(t *testing.T) {
	for name, env := range map[string]map[string]string{
		"none named": {}, "none answers": {"DEMARC_SERVER": "http://127.0.0.1:1", "DEMARC_TOKEN": "dmt_x_y"},
	} {
		t.Run(name, func(t *testing.T) {
			env["XDG_CONFIG_HOME"] = t.TempDir()
			var out, errs bytes.Buffer
			code := cli.Run(t.Context(), []string{"catalog", "list", "--output", "json"}, cli.Streams{In: &bytes.Buffer{}, Out: &out, Err: &errs},
				cli.Programs{Duties: verify.Duties}, func(k string) string { return env[k] })
			var duties []api.Duty
			if err := json.Unmarshal(out.Bytes(), &duties); err != nil || code != cli.ExitOK {
				t.Fatalf("exit %d, %v; standard error: %s", code, err, &errs)
			}
			if len(duties) != 145 || !bytes.Contains(errs.Bytes(), []byte("built-in catalogue")) {
				t.Errorf("%d duties; standard error: %s", len(duties), &errs)
			}
		})
	}
}
