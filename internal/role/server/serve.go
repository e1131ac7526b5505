package server

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"time"
)

// serve returns a part that serves the handler on l.
func (s *server) serve(l net.Listener, handler http.Handler, conf *tls.Config) func(context.Context) error {
	return func(ctx context.Context) error {
		srv := &http.Server{
			Handler:           handler,
			ReadHeaderTimeout: 10 * time.Second,
			ReadTimeout:       60 * time.Second,
			WriteTimeout:      120 * time.Second, // streams lift it for themselves
			IdleTimeout:       2 * time.Minute,
			MaxHeaderBytes:    64 << 10,
			ErrorLog:          slog.NewLogLogger(s.cfg.Log.Handler(), slog.LevelDebug),
			BaseContext:       func(net.Listener) context.Context { return ctx }, // ends streams with the server
		}
		if conf != nil {
			conf = conf.Clone()
			conf.NextProtos = []string{"h2", "http/1.1"}
			l = tls.NewListener(l, conf)
		}
		return Serve(ctx, srv, l)
	}
}

// Serve serves on l until ctx ends; requests under way then have a few seconds
// to finish.
func Serve(ctx context.Context, srv *http.Server, l net.Listener) error {
	failed := make(chan error, 1)
	go func() { failed <- srv.Serve(l) }()
	select {
	case err := <-failed:
		return err
	case <-ctx.Done():
	}
	sctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	if err := srv.Shutdown(sctx); err != nil {
		srv.Close()
	}
	if err := <-failed; !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}
