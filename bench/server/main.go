// Command server measures a server and the agent of this machine as `demarc up`
// runs them: time to ready, memory, processor time while nothing is asked of
// them, the console's matrix page, and how long the agent's first full look
// takes until it is stored and judged.
package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/demarc/demarc/api"
)

func main() {
	bin := flag.String("bin", "bin", "directory of the programs demarc and demarc-agent")
	idle := flag.Duration("idle", 2*time.Minute, "how long processor time is counted")
	settle := flag.Duration("settle", 45*time.Second, "pause after the start, before memory and processor time are looked at")
	pages := flag.Int("pages", 300, "how often the page is fetched")
	flag.Parse()
	if err := run(*bin, *settle, *idle, *pages); err != nil {
		fmt.Fprintln(os.Stderr, "server:", err)
		os.Exit(1)
	}
}

func run(bin string, settle, idle time.Duration, pages int) error {
	dir, err := os.MkdirTemp("", "bench-server-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	for _, name := range []string{"demarc", "demarc-agent"} {
		info, err := os.Stat(filepath.Join(bin, name))
		if err != nil {
			return err
		}
		fmt.Printf("%-45s %8.1f MiB\n", "size of "+name, float64(info.Size())/(1<<20))
	}
	first, err := start(bin, dir)
	if err != nil {
		return err
	}
	fmt.Printf("%-45s %8.2f s\n", "first start to ready", first.took.Seconds())
	whole, err := first.facts()
	if err == nil {
		fmt.Printf("%-45s %8.2f s\n", "agent's start to all facts stored and judged", whole.Seconds())
		err = first.resting(settle, idle)
	}
	if err == nil {
		err = first.page(pages)
	}
	if err := errors.Join(err, first.stop()); err != nil {
		return err
	}
	second, err := start(bin, dir)
	if err != nil {
		return err
	}
	fmt.Printf("%-45s %8.2f s\n", "second start to ready", second.took.Seconds())
	err = until(30*time.Second, func() bool { // a start that is interrupted is a failure
		_, err := childNamed(second.cmd.Process.Pid, "demarc-agent")
		return err == nil
	})
	return errors.Join(err, second.stop())
}

// installation is a running `demarc up`.
type installation struct {
	dir, base string
	cmd       *exec.Cmd
	errs      *bytes.Buffer
	took      time.Duration // to ready
}

func start(bin, dir string) (*installation, error) {
	var addrs []string
	for range 3 {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		addrs = append(addrs, l.Addr().String())
		l.Close()
	}
	in := &installation{dir: dir, base: "http://" + addrs[0], errs: &bytes.Buffer{}}
	in.cmd = exec.Command(filepath.Join(bin, "demarc"), "up", "--data", dir, "--http", addrs[0], "--https", addrs[1], "--bus-listen", addrs[2], "--ssh", "off")
	in.cmd.Env = append(os.Environ(), "XDG_CONFIG_HOME="+filepath.Join(dir, "config"))
	in.cmd.Stderr = in.errs
	begun := time.Now()
	if err := in.cmd.Start(); err != nil {
		return nil, err
	}
	err := until(30*time.Second, func() bool {
		resp, err := http.Get(in.base + "/healthz")
		if err != nil {
			return false
		}
		resp.Body.Close()
		return resp.StatusCode == http.StatusOK
	})
	if err != nil {
		return nil, fmt.Errorf("not ready: %w\n%s", errors.Join(err, in.stop()), in.errs)
	}
	in.took = time.Since(begun)
	return in, nil
}

func (in *installation) stop() error {
	if err := in.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		return err
	}
	return in.cmd.Wait()
}

// until polls until done or the limit.
func until(limit time.Duration, done func() bool) error {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !done() {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
	return nil
}

// facts waits for the first full look of the agent, and returns the time since
// it was started.
func (in *installation) facts() (time.Duration, error) {
	var begun time.Time
	err := until(30*time.Second, func() bool {
		_, err := os.Stat(filepath.Join(in.dir, "agent.log")) // made right before the agent is started
		begun = time.Now()
		return err == nil
	})
	if err != nil {
		return 0, fmt.Errorf("the agent was not started: %w", err)
	}
	token, err := os.ReadFile(filepath.Join(in.dir, "admin.token"))
	if err != nil {
		return 0, err
	}
	client := &api.Client{Base: in.base, Token: strings.TrimSpace(string(token))}
	ctx, seen, vm := context.Background(), 0, ""
	err = until(60*time.Second, func() bool {
		if vm == "" {
			vms, err := api.Collect(client.VMs(ctx, "local"))
			if err != nil || len(vms) == 0 {
				return false
			}
			vm = vms[0].ID
		}
		facts, err := api.Collect(client.Facts(ctx, "local", vm))
		if err != nil {
			return false
		}
		seen = 0
		for _, f := range facts {
			if strings.HasPrefix(f.Kind, "host.") {
				seen++
			}
		}
		return seen >= 26
	})
	if err != nil {
		err = fmt.Errorf("facts are missing, %d are there: %w", seen, err)
	}
	return time.Since(begun), err
}

// resting prints memory and processor time of both while nothing is asked.
func (in *installation) resting(settle, idle time.Duration) error {
	agent, err := childNamed(in.cmd.Process.Pid, "demarc-agent")
	if err != nil {
		return err
	}
	<-time.After(settle)
	pids := []struct {
		name string
		pid  int
	}{{"server", in.cmd.Process.Pid}, {"agent", agent}}
	before := map[string]time.Duration{}
	for _, p := range pids {
		if before[p.name], err = processorTime(p.pid); err != nil {
			return err
		}
	}
	begun := time.Now()
	<-time.After(idle)
	for _, p := range pids {
		now, err := processorTime(p.pid)
		if err != nil {
			return err
		}
		rss, err := resident(p.pid)
		if err != nil {
			return err
		}
		fmt.Printf("%-45s %8.2f %% of a core over %v\n", p.name+" at rest, processor", 100*float64(now-before[p.name])/float64(time.Since(begun)), idle)
		fmt.Printf("%-45s %8.1f MiB resident\n", p.name+" at rest, memory", float64(rss)/(1<<20))
	}
	return nil
}

// page fetches the matrix page of the tenant, signed in.
func (in *installation) page(times int) error {
	jar, err := cookiejar.New(nil)
	if err != nil {
		return err
	}
	client := &http.Client{Jar: jar}
	token, err := os.ReadFile(filepath.Join(in.dir, "admin.token"))
	if err != nil {
		return err
	}
	form := url.Values{"token": {strings.TrimSpace(string(token))}}
	req, err := http.NewRequest(http.MethodPost, in.base+"/login", strings.NewReader(form.Encode()))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Sec-Fetch-Site", "same-origin")
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	resp.Body.Close()
	var took []time.Duration
	size := 0
	for range times {
		begun := time.Now()
		resp, err := client.Get(in.base + "/tenants/local")
		if err != nil {
			return err
		}
		body, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil {
			return err
		}
		if resp.StatusCode != http.StatusOK || !bytes.Contains(body, []byte("CLD.9.5.2")) {
			return fmt.Errorf("the matrix page answers %s with %d bytes and no duties", resp.Status, len(body))
		}
		took, size = append(took, time.Since(begun)), len(body)
	}
	slices.Sort(took)
	ms := func(q float64) float64 { return took[int(q*float64(len(took)-1))].Seconds() * 1000 }
	fmt.Printf("%-45s %8.1f ms median, %.1f ms p99 (%d KiB, %d times)\n", "matrix page", ms(0.5), ms(0.99), size>>10, times)
	return nil
}
