package cli

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"syscall"

	"github.com/alecthomas/kong"

	"github.com/demarc/demarc/api"
)

// fault is an error with an exit code and the next step for the user.
type fault struct {
	code int
	err  error
	next string
}

func (f *fault) Error() string { return f.err.Error() }
func (f *fault) Unwrap() error { return f.err }

// usage makes an error of the command line.
func usage(next, format string, args ...any) error {
	return &fault{code: ExitUsage, err: fmt.Errorf(format, args...), next: next}
}

// report prints an error with its next step and returns the exit code.
func (s *session) report(err error) int {
	if err == nil {
		return ExitOK
	}
	if errors.Is(err, context.Canceled) {
		err = errors.New("interrupted")
	}
	code, next := diagnose(err)
	fmt.Fprintf(s.streams.Err, "demarc: %s\n", cleanLines(err.Error()))
	if next != "" {
		fmt.Fprintf(s.streams.Err, "  next: %s\n", next)
	}
	return code
}

// diagnose finds the exit code of an error and what to do about it.
func diagnose(err error) (code int, next string) {
	var (
		f     *fault
		parse *kong.ParseError
		p     *api.Problem
		exit  interface{ ExitCode() int }
	)
	switch {
	case errors.As(err, &f):
		return f.code, f.next
	case errors.As(err, &parse):
		return ExitUsage, fmt.Sprintf("see `%s --help`", commandOf(parse))
	case errors.As(err, &p):
		return ExitFailure, nextOfProblem(p)
	case errors.As(err, &exit):
		return exit.ExitCode(), ""
	default:
		return ExitFailure, nextOfFailure(err)
	}
}

// commandOf names the command whose line was wrong.
func commandOf(parse *kong.ParseError) string {
	name := ""
	if parse.Context != nil {
		for n := parse.Context.Selected(); n != nil && n.Parent != nil; n = n.Parent {
			name = " " + n.Name + name
		}
	}
	return "demarc" + name
}

func nextOfProblem(p *api.Problem) string {
	switch p.Status {
	case http.StatusUnauthorized:
		return "sign in again with `demarc login`, or set DEMARC_TOKEN"
	case http.StatusForbidden:
		return "see with `demarc whoami` which role you have, and ask an administrator for what is missing"
	case http.StatusNotFound:
		return "look up the name with the `list` of its command, or name the tenant with --tenant"
	case http.StatusConflict, http.StatusPreconditionFailed:
		return "look at how it stands now, then repeat the command if it still makes sense"
	case http.StatusUnprocessableEntity, http.StatusBadRequest:
		return "mend what is named above and repeat the command"
	case http.StatusTooManyRequests, http.StatusServiceUnavailable:
		return "repeat the command in a while; `demarc status` says how the server stands"
	}
	if p.Status >= 500 {
		return "the server's log says more; `demarc status` says how it stands"
	}
	return ""
}

func nextOfFailure(err error) string {
	var (
		dns  *net.DNSError
		cert *tls.CertificateVerificationError
	)
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return "see whether the server is up and reachable; name another with --server"
	case errors.Is(err, syscall.ECONNREFUSED):
		return "no server listens there: start one with `make up`, or name another with --server"
	case errors.As(err, &dns):
		return "check the name of the server; name another with --server"
	case errors.As(err, &cert):
		return "keep the server's certificate authority with `demarc login --ca FILE`"
	case errors.Is(err, fs.ErrPermission):
		return "check the permissions of the file"
	}
	return ""
}
