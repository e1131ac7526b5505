package eventstore

import (
	"bufio"
	"encoding/json"
	"errors"
	"flag"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/VictoriaMetrics/VictoriaLogs/app/vlselect/logsql"
	"github.com/VictoriaMetrics/VictoriaLogs/app/vlstorage"
	"github.com/VictoriaMetrics/VictoriaLogs/lib/logstorage"
)

// each runs f on both kinds of store.
func each(t *testing.T, f func(t *testing.T, s Store)) {
	t.Run("embedded", func(t *testing.T) { f(t, open(t, t.TempDir()+"/e")) })
	t.Run("remote", func(t *testing.T) {
		s, err := Open(Config{Address: server(t)})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { s.Close() })
		s.(*remote).delay = time.Millisecond
		f(t, s)
	})
}

// server is a VictoriaLogs server: its own storage and query handler, and an
// insert handler that follows its documentation, because the module's own
// needs a library that is not had.
func server(t *testing.T) string {
	t.Helper()
	if err := prepareProcess(); err != nil {
		t.Fatal(err)
	}
	for name, value := range map[string]string{"storageDataPath": t.TempDir() + "/server", "retentionPeriod": "90d"} {
		if err := flag.Set(name, value); err != nil {
			t.Fatal(err)
		}
	}
	vlstorage.Init()
	t.Cleanup(vlstorage.Stop)
	var mux http.ServeMux
	mux.HandleFunc("POST /insert/jsonline", func(w http.ResponseWriter, r *http.Request) {
		if err := insert(r); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
		}
	})
	mux.HandleFunc("POST /select/logsql/query", func(w http.ResponseWriter, r *http.Request) {
		logsql.ProcessQueryRequest(r.Context(), w, r)
	})
	srv := httptest.NewServer(&mux)
	t.Cleanup(srv.Close)
	return srv.URL
}

func insert(r *http.Request) error {
	tenant, err := logstorage.GetTenantIDFromRequest(r)
	if err != nil {
		return err
	}
	args := r.URL.Query()
	streams := strings.Split(args.Get("_stream_fields"), ",")
	rows := logstorage.GetLogRows(streams, nil, nil, nil, "")
	defer logstorage.PutLogRows(rows)
	sc := bufio.NewScanner(r.Body)
	sc.Buffer(nil, 8<<20)
	for sc.Scan() {
		var m map[string]string
		if err := json.Unmarshal(sc.Bytes(), &m); err != nil {
			return err
		}
		at, err := time.Parse(time.RFC3339Nano, m[args.Get("_time_field")])
		if err != nil {
			return err
		}
		delete(m, args.Get("_time_field"))
		var fields []logstorage.Field
		for k, v := range m {
			fields = append(fields, logstorage.Field{Name: k, Value: v})
		}
		rows.MustAdd(tenant, at.UnixNano(), fields, -1)
	}
	(&vlstorage.Storage{}).MustAddRows(rows)
	req := httptest.NewRequest(http.MethodPost, "/internal/force_flush", nil)
	vlstorage.RequestHandler(httptest.NewRecorder(), req)
	return sc.Err()
}

func TestRemoteWaitsBeforeItCallsEventsDurable(t *testing.T) {
	base, err := url.Parse(server(t))
	if err != nil {
		t.Fatal(err)
	}
	r, err := openRemote(base, Config{Retention: 24 * time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	if r.delay != 10*time.Second {
		t.Errorf("waits %s", r.delay)
	}
	r.delay = 200 * time.Millisecond
	if err := r.Append(t.Context(), events(1, "a", 1, 1, time.Now())); err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	if err := r.Sync(t.Context()); err != nil || time.Since(start) < 150*time.Millisecond {
		t.Errorf("flushed after %s, %v", time.Since(start), err)
	}
}

func TestRemoteThatIsAway(t *testing.T) {
	var mu sync.Mutex
	status := http.StatusBadGateway
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		w.WriteHeader(status)
	}))
	s, err := Open(Config{Address: srv.URL})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	list := events(1, "a", 1, 1, time.Now())
	if err := s.Append(t.Context(), list); !errors.Is(err, ErrUnavailable) {
		t.Errorf("bad gateway: %v", err)
	}
	mu.Lock()
	status = http.StatusBadRequest
	mu.Unlock()
	if _, err := s.Query(t.Context(), 1, "a", time.Now(), time.Now(), 1); !errors.Is(err, ErrQuery) {
		t.Errorf("bad request: %v", err)
	}
	srv.Close()
	if err := s.Append(t.Context(), list); !errors.Is(err, ErrUnavailable) {
		t.Errorf("no server: %v", err)
	}
}

func TestAddresses(t *testing.T) {
	for _, bad := range []string{"", "ftp://x", "http://[", "postgres://u:secret@h/db"} {
		s, err := Open(Config{Address: bad})
		if err == nil {
			s.Close()
			t.Errorf("%q was opened", bad)
		} else if strings.Contains(err.Error(), "secret") {
			t.Errorf("the error tells a password: %v", err)
		}
	}
	if _, err := Open(Config{Address: t.TempDir(), Retention: time.Hour}); err == nil {
		t.Error("an hour of retention was accepted")
	}
}

// What goes in comes out byte for byte, in both stores.
func TestDataIsKeptByteForByte(t *testing.T) {
	each(t, func(t *testing.T, s Store) {
		now := time.Now().Add(-time.Minute)
		var in []Event
		for i, data := range []string{
			`{"a":"ä \u0000 \" \\ \n <b>&"}`, `{"_msg":"x","_time":"1","agent":"other","_stream":"{}"}`, `{ }`, `{"n":1e400,"big":12345678901234567890}`,
			`{"text":"` + strings.Repeat("long ", 200_000) + `"}`, "{\"line\":\"\u2028 ✓\"}",
		} {
			ev := events(3, "a", i+1, 1, now)[0]
			ev.Data = json.RawMessage(data)
			in = append(in, ev)
		}
		if err := s.Append(t.Context(), in); err != nil {
			t.Fatal(err)
		}
		if err := s.Sync(t.Context()); err != nil {
			t.Fatal(err)
		}
		out, err := s.Query(t.Context(), 3, "", now.Add(-time.Hour), now.Add(time.Hour), 100)
		if err != nil || len(out) != len(in) {
			t.Fatalf("%d events, %v; want %d", len(out), err, len(in))
		}
		slices.SortFunc(out, func(a, b Event) int { return int(a.Seq) - int(b.Seq) })
		for i := range in {
			if string(out[i].Data) != string(in[i].Data) || out[i].Agent != "a" {
				t.Errorf("%.80s came out as %.80s", in[i].Data, out[i].Data)
			}
		}
	})
}
