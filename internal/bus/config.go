package bus

import (
	"context"
	"fmt"
	"strings"
	"text/template"

	"github.com/demarc/demarc/internal/wire"
)

// ServerOptions describe one NATS server that carries the bus.
type ServerOptions struct {
	// Name of the server; unique in a cluster. Empty means "demarc".
	Name string
	// Listen is host:port for agents; port -1 takes any free one. Required.
	Listen string
	// StoreDir holds the streams and accounts of this server. Required.
	StoreDir string
	// CertFile and KeyFile, in PEM, let the server speak TLS. An external
	// server must have them.
	CertFile, KeyFile string
	// MaxBytes bounds what the server stores; 0 leaves it to NATS.
	MaxBytes int64
	// SyncAlways makes every message durable before it is acknowledged, as a
	// single server needs. A cluster of three relies on its replicas instead.
	SyncAlways bool
	// Cluster is the server's "cluster" block in NATS's own syntax, without
	// the braces, or empty.
	Cluster string
}

var configText = template.Must(template.New("config").Funcs(template.FuncMap{"quote": quote}).Parse(
	`server_name: {{quote .Name}}
listen: {{quote .Listen}}
max_payload: {{.MaxPayload}}
operator: {{quote .Operator}}
system_account: {{quote .SystemKey}}
resolver: {type: full, dir: {{quote .AccountsDir}}, allow_delete: false, interval: "2m"}
resolver_preload: {
  {{.SystemKey}}: {{quote .System}}
  {{.HubKey}}: {{quote .Hub}}
}
jetstream: {
  store_dir: {{quote .StoreDir}}
  max_memory_store: 67108864
{{- if .MaxBytes}}
  max_file_store: {{.MaxBytes}}
{{- end}}
{{- if .SyncAlways}}
  sync_interval: always
{{- end}}
}
{{- if .CertFile}}
tls: {cert_file: {{quote .CertFile}}, key_file: {{quote .KeyFile}}, timeout: 5}
{{- end}}
{{- if .Cluster}}
cluster: {
  {{.Cluster}}
}
{{- end}}
`))

// quote writes a string of NATS's configuration language.
func quote(s string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`).Replace(s) + `"`
}

// ServerConfig returns the configuration file that an external nats-server
// needs to carry the bus. It makes the keys if there are none yet. The text
// holds no secret: the JWTs in it are public statements.
func ServerConfig(ctx context.Context, s Secrets, o ServerOptions) (string, error) {
	k, err := loadKeys(ctx, s)
	if err != nil {
		return "", err
	}
	return k.serverConfig(o)
}

func (k keys) serverConfig(o ServerOptions) (string, error) {
	if o.Listen == "" || o.StoreDir == "" {
		return "", fmt.Errorf("bus server configuration: the address to listen on and the store directory are required")
	}
	if o.Name == "" {
		o.Name = "demarc"
	}
	data := struct {
		ServerOptions
		MaxPayload                               int
		AccountsDir                              string
		Operator, System, Hub, SystemKey, HubKey string
	}{ServerOptions: o, MaxPayload: wire.MaxMessageBytes, AccountsDir: o.StoreDir + "/accounts"}
	for _, part := range []struct {
		to   *string
		make func() (string, error)
	}{
		{&data.Operator, k.operatorJWT},
		{&data.System, k.systemJWT},
		{&data.Hub, k.hubJWT},
		{&data.SystemKey, func() (string, error) { return public(k.system) }},
		{&data.HubKey, func() (string, error) { return public(k.hub) }},
	} {
		var err error
		if *part.to, err = part.make(); err != nil {
			return "", fmt.Errorf("bus server configuration: %w", err)
		}
	}
	var b strings.Builder
	if err := configText.Execute(&b, data); err != nil {
		return "", fmt.Errorf("bus server configuration: %w", err)
	}
	return b.String(), nil
}
