package server

import (
	"context"
	"fmt"
	"io"
	"log/slog"

	"github.com/alecthomas/kong"
)

// Flags are the command line of `demarc server`.
type Flags struct {
	Data          string   `help:"Directory for everything that the server keeps." default:"${data}" type:"path" env:"DEMARC_DATA"`
	HTTP          string   `name:"http" help:"Loopback address of console and API, without TLS." default:"127.0.0.1:7480" env:"DEMARC_HTTP"`
	HTTPS         string   `name:"https" help:"Address of console and API with TLS, where agents enrol." default:"127.0.0.1:7443" env:"DEMARC_HTTPS"`
	SSH           string   `name:"ssh" help:"Address at which the provider's people open sessions on hosts; 'off' for none." default:"127.0.0.1:7427" env:"DEMARC_SSH"`
	Proxy         string   `help:"Address at which they open web consoles, such as 127.0.0.1:7428; none if not given." env:"DEMARC_PROXY"`
	ProxyURL      string   `name:"proxy-url" help:"Address that browsers know the proxy for web consoles by; a host name of its own, as https://consoles.demarc.example." env:"DEMARC_PROXY_URL"`
	Agents        string   `help:"Address at which only agents are served, with TLS; otherwise they are at --https." env:"DEMARC_AGENTS"`
	Allow         []string `help:"Networks that may connect to console, API, SSH gateway and web proxy, as 10.0.0.0/8; any if not given." env:"DEMARC_ALLOW"`
	AllowProvider []string `help:"Networks that the provider's people may come from." env:"DEMARC_ALLOW_PROVIDER"`
	AllowAgents   []string `help:"Networks that agents may connect from." env:"DEMARC_ALLOW_AGENTS"`
	ClientCA      string   `name:"client-ca" help:"PEM file of authorities: console and API at --https then ask for a client certificate of one of them." type:"existingfile" env:"DEMARC_CLIENT_CA"`
	ConsoleURL    string   `name:"console-url" help:"Address that people open the console by, as https://demarc.example." env:"DEMARC_CONSOLE_URL"`
	BusListen     string   `help:"Address at which the embedded bus takes agents." default:"127.0.0.1:7422" env:"DEMARC_BUS_LISTEN"`
	Advertise     []string `help:"Host names or addresses that agents reach this server by; the first is told to them." default:"127.0.0.1" env:"DEMARC_ADVERTISE"`
	Store         string   `help:"State store: sqlite://FILE or postgres://USER@HOST/DATABASE. A file in the data directory if not given." env:"DEMARC_STORE"`
	Bus           []string `help:"External NATS servers, nats://HOST:PORT; see 'demarc server --bus-config'. Embedded if not given." env:"DEMARC_BUS"`
	BusCA         string   `name:"bus-ca" help:"PEM file of the authorities that vouch for the external NATS servers." type:"existingfile" env:"DEMARC_BUS_CA"`
	Events        string   `help:"External VictoriaLogs, http://HOST:PORT. Embedded if not given." env:"DEMARC_EVENTS"`
	Metrics       string   `help:"External Prometheus that takes remote writes, http://HOST:PORT. Embedded if not given." env:"DEMARC_METRICS"`
	Witness       []string `help:"Witness of the ledger: 'URL VERIFIER-KEY'; repeatable." sep:"none" env:"DEMARC_WITNESS"`
	Managed       []string `name:"management-network" help:"Address or prefix that the provider's people administer from; a login from there on a customer's VM is an incident; repeatable." placeholder:"NETWORK" env:"DEMARC_MANAGEMENT_NETWORK"`
	LogLevel      string   `help:"Least severe messages to log." enum:"debug,info,warn,error" default:"info" env:"DEMARC_LOG_LEVEL"`
	BusConfig     string   `help:"Print the configuration for an external NATS server that listens at ADDRESS, and end." placeholder:"ADDRESS"`
}

// Config returns what the flags say, with a logger that writes to w.
func (f Flags) Config(version string, w io.Writer) Config {
	var level slog.Level
	level.UnmarshalText([]byte(f.LogLevel)) // kong checked it
	return Config{
		DataDir: f.Data, HTTP: f.HTTP, HTTPS: f.HTTPS, BusListen: f.BusListen, SSH: f.SSH, Proxy: f.Proxy, ProxyURL: f.ProxyURL, Agents: f.Agents, Allow: f.Allow, AllowProvider: f.AllowProvider,
		AllowAgents: f.AllowAgents, ClientCA: f.ClientCA, ConsoleURL: f.ConsoleURL, Advertise: f.Advertise, Store: f.Store, Bus: f.Bus, BusCA: f.BusCA,
		Events: f.Events, Metrics: f.Metrics, Witnesses: f.Witness, ManagementNetworks: f.Managed, Version: version, Log: slog.New(slog.NewTextHandler(w, &slog.HandlerOptions{Level: level})),
	}
}

// Usage is a wrong command line; its exit code is 2.
type Usage struct{ error }

// ExitCode is the program's exit code.
func (Usage) ExitCode() int { return 2 }

// Parse reads a command line into flags. done is true where help was printed.
func Parse(name, description, data string, args []string, out io.Writer, flags any) (done bool, err error) {
	exited := false
	p, err := kong.New(flags, kong.Name(name), kong.Description(description), kong.Vars{"data": data},
		kong.Writers(out, out), kong.Exit(func(int) { exited = true }))
	if err != nil {
		return false, err
	}
	_, err = p.Parse(args)
	if exited {
		return true, nil
	}
	if err != nil {
		return false, Usage{fmt.Errorf("%w; try %s --help", err, name)}
	}
	return false, nil
}

// Main is `demarc server`.
func Main(ctx context.Context, version, data string, args []string, out, errOut io.Writer) error {
	var f Flags
	done, err := Parse("demarc server", "Run the server: console, API, ledger, ingest.", data, args, out, &f)
	if done || err != nil {
		return err
	}
	if f.BusConfig != "" {
		return printBusConfig(ctx, f, out)
	}
	LimitMemory()
	cfg := f.Config(version, errOut)
	cfg.Ready = func(s Started) {
		if s.FirstToken != "" {
			fmt.Fprintf(out, "First start. The first administrator joins here, within seven days; the link is shown once:\n\n  %s\n\n", s.JoinLink)
			fmt.Fprintf(out, "Until then this token sets the installation up. It is shown once.\n\n  %s\n\n", s.FirstToken)
		}
		fmt.Fprintf(out, "Console: %s\n", s.URL)
	}
	return Run(ctx, cfg)
}
