// Command gen writes the lists of services: internal/service/all/all.go for the
// server and internal/service/all/agent/agent.go for the agent. A folder
// internal/service/NAME with a function New is a service, and so is its
// observer folder for the agent. Run it by `go generate ./internal/service/all`.
package main

import (
	"flag"
	"fmt"
	"os"

	"github.com/demarc/demarc/internal/service/all/list"
)

func main() {
	services := flag.String("services", "..", "the folder internal/service")
	flag.Parse()
	if err := run(*services); err != nil {
		fmt.Fprintln(os.Stderr, "gen:", err)
		os.Exit(1)
	}
}

func run(services string) error {
	files, err := list.Files(services)
	if err != nil {
		return err
	}
	for path, text := range files {
		if err := os.WriteFile(path, text, 0o644); err != nil {
			return err
		}
	}
	return nil
}
