package identity_test

import (
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"testing"

	"github.com/zitadel/oidc/v3/example/server/exampleop"
	"github.com/zitadel/oidc/v3/example/server/storage"
)

// asOP makes this program an OpenID provider, for a test that starts it as one.
const asOP = "DEMARC_TEST_OP_CALLBACK"

func TestMain(m *testing.M) {
	if callback := os.Getenv(asOP); callback != "" {
		fmt.Fprintln(os.Stderr, serveOP(callback))
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// serveOP serves an OpenID provider with one person and one client until the
// process is ended.
func serveOP(callback string) error {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	issuer := fmt.Sprintf("http://localhost:%d/", l.Addr().(*net.TCPAddr).Port)
	storage.RegisterClients(storage.WebClient("demarc", "client secret", callback))
	router := exampleop.SetupServer(issuer, storage.NewStorage(storage.NewUserStore(issuer)), slog.New(slog.DiscardHandler), false)
	fmt.Println(issuer)
	return http.Serve(l, router)
}
