package metrics

import (
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/s2"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/prompb"
	"github.com/prometheus/prometheus/promql"
)

// each runs f on both kinds of store.
func each(t *testing.T, f func(t *testing.T, s Store)) {
	t.Run("embedded", func(t *testing.T) { f(t, open(t, t.TempDir())) })
	t.Run("remote", func(t *testing.T) {
		srv := httptest.NewServer(server(t))
		t.Cleanup(srv.Close)
		s, err := Open(Config{Address: srv.URL, Log: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { s.Close() })
		f(t, s)
	})
}

// server speaks as a Prometheus server does, with its engine and storage, and
// enforces no tenant.
func server(t *testing.T) http.Handler {
	db := open(t, t.TempDir()).(*embedded)
	var mux http.ServeMux
	mux.HandleFunc("POST /api/v1/write", func(w http.ResponseWriter, r *http.Request) {
		raw, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		plain, err := s2.Decode(nil, raw)
		if err != nil || r.Header.Get("Content-Encoding") != "snappy" {
			t.Errorf("not snappy: %v", err)
		}
		var req prompb.WriteRequest
		if err := req.Unmarshal(plain); err != nil {
			t.Error(err)
		}
		app := db.db.Appender(r.Context())
		refused := false
		for _, ts := range req.Timeseries {
			var l []string
			for _, p := range ts.Labels {
				l = append(l, p.Name, p.Value)
			}
			for _, m := range ts.Samples {
				if _, err := app.Append(0, labels.FromStrings(l...), m.Timestamp, m.Value); err != nil {
					refused = true
				}
			}
		}
		if err := app.Commit(); err != nil {
			t.Error(err)
		}
		if refused {
			http.Error(w, "out of order sample", http.StatusBadRequest)
		}
	})
	at := func(r *http.Request, name string) time.Time {
		f, err := strconv.ParseFloat(r.FormValue(name), 64)
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		return time.UnixMilli(int64(f * 1000))
	}
	reply := func(w http.ResponseWriter, r *http.Request, q promql.Query, err error) {
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		defer q.Close()
		res := q.Exec(r.Context())
		if res.Err != nil {
			http.Error(w, res.Err.Error(), http.StatusUnprocessableEntity)
			return
		}
		json.NewEncoder(w).Encode(map[string]any{"status": "success", "data": map[string]any{"resultType": res.Value.Type(), "result": res.Value}})
	}
	mux.HandleFunc("POST /api/v1/query", func(w http.ResponseWriter, r *http.Request) {
		q, err := db.engine.NewInstantQuery(r.Context(), db.db, nil, r.FormValue("query"), at(r, "time"))
		reply(w, r, q, err)
	})
	mux.HandleFunc("POST /api/v1/query_range", func(w http.ResponseWriter, r *http.Request) {
		step, err := strconv.ParseFloat(r.FormValue("step"), 64)
		if err != nil {
			t.Error(err)
		}
		q, err := db.engine.NewRangeQuery(r.Context(), db.db, nil, r.FormValue("query"), at(r, "start"), at(r, "end"), time.Duration(step*float64(time.Second)))
		reply(w, r, q, err)
	})
	return &mux
}

func TestRemoteThatIsAway(t *testing.T) {
	status := make(chan int, 3)
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(<-status) }))
	s, err := Open(Config{Address: srv.URL})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	one := []Sample{{Tenant: "t", VM: "v", Name: "n", Time: time.Now(), Value: 1}}
	for code, want := range map[int]error{502: ErrUnavailable, 429: ErrUnavailable, 404: ErrUnavailable, 400: nil, 204: nil} {
		status <- code
		if err := s.Append(t.Context(), one); !errors.Is(err, want) {
			t.Errorf("%d: %v, want %v", code, err, want)
		}
	}
	status <- 400
	if _, err := s.Query(t.Context(), "t", "up", time.Now()); !errors.Is(err, ErrQuery) {
		t.Errorf("bad request: %v", err)
	}
	srv.Close()
	if err := s.Append(t.Context(), one); !errors.Is(err, ErrUnavailable) {
		t.Errorf("no server: %v", err)
	}
}

func TestAddresses(t *testing.T) {
	for _, bad := range []string{"", "ftp://x", "http://[", "postgres://u:secret@h/db"} {
		s, err := Open(Config{Address: bad, Log: slog.New(slog.DiscardHandler)})
		if err == nil {
			s.Close()
			t.Errorf("%q was opened", bad)
		} else if strings.Contains(err.Error(), "secret") {
			t.Errorf("the error tells a password: %v", err)
		}
	}
}

func FuzzAnswer(f *testing.F) {
	for _, s := range []string{
		`{"status":"success","data":{"resultType":"vector","result":[{"metric":{"a":"b","tenant":"t"},"value":[1.5,"NaN"]}]}}`,
		`{"data":{"resultType":"matrix","result":[{"metric":{},"values":[[1,"2"],[3,"+Inf"]]}]}}`,
		`{"data":{"resultType":"scalar","result":[1,"2"]}}`, `{"data":{"resultType":"string","result":[1,"2"]}}`, `{}`, `[`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		list, err := parseAnswer(raw)
		if err != nil && !errors.Is(err, ErrUnavailable) && !errors.Is(err, ErrQuery) {
			t.Fatal(err)
		}
		for _, s := range list {
			if _, shown := s.Labels[tenantLabel]; shown {
				t.Fatal("the tenant label is shown")
			}
		}
	})
}
