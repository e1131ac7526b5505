// Command answer stands in for the listing commands of a made-up machine: it
// prints the file of /answers that is called after the command and its first
// argument that is no option, or after the command alone.
package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

func main() {
	name := filepath.Base(os.Args[0])
	verb := name
	for _, a := range os.Args[1:] {
		if !strings.HasPrefix(a, "-") {
			verb = name + "-" + a
			break
		}
	}
	for _, file := range []string{verb, name} {
		if b, err := os.ReadFile("/answers/" + file); err == nil {
			os.Stdout.Write(b)
			return
		}
	}
	fmt.Fprintln(os.Stderr, name+": this machine has no answer")
	os.Exit(1)
}
