package server_test

import (
	"bufio"
	"context"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/demarc/demarc/internal/role/server"
)

// TestStreamEndsWithTheServer: an open stream does not keep the server from
// stopping, and ends with it.
func TestStreamEndsWithTheServer(t *testing.T) {
	dir := t.TempDir()
	ready := make(chan server.Started, 1)
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	s, err := server.Open(ctx, server.Config{
		DataDir: dir, HTTP: "127.0.0.1:0", HTTPS: "127.0.0.1:0", BusListen: "127.0.0.1:0", Version: "test",
		Ready: func(st server.Started) { ready <- st },
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := server.Open(ctx, server.Config{DataDir: dir, HTTP: "127.0.0.1:0", HTTPS: "127.0.0.1:0", BusListen: "127.0.0.1:0"}); err == nil || !strings.Contains(err.Error(), "another server") {
		t.Errorf("a second server on one directory: %v", err)
	}
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	st := <-ready
	req, err := http.NewRequestWithContext(t.Context(), "GET", st.URL+"/v1/events", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+s.FirstToken())
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body := bufio.NewReader(res.Body)
	if line, err := body.ReadString('\n'); err != nil || line != ": watching\n" {
		t.Fatalf("%q, %v", line, err)
	}
	began := time.Now()
	stop()
	if _, err := io.Copy(io.Discard, body); err != nil {
		t.Logf("the stream ended with %v", err)
	}
	if err := <-done; err != nil {
		t.Errorf("the server ended with %v", err)
	}
	if took := time.Since(began); took > 20*time.Second {
		t.Errorf("stopping took %s", took)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if pem, err := os.ReadFile(filepath.Join(dir, "ca.pem")); err != nil || !strings.HasPrefix(string(pem), "-----BEGIN CERTIFICATE-----") {
		t.Errorf("ca.pem: %v", err)
	}
}
