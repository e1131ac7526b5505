package reach

import (
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// Headers sets what every answer of an interface carries. Answers that set a
// policy of their own, such as pages, replace this one, which allows nothing.
func Headers(next http.Handler, tls bool) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("X-Frame-Options", "DENY")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		h.Set("Cache-Control", "no-store")
		if tls {
			// RFC 6797; browsers ignore it for bare addresses.
			h.Set("Strict-Transport-Security", "max-age=31536000")
		}
		next.ServeHTTP(w, r)
	})
}

// Named refuses requests under names that are not the server's own, so that a
// foreign name that is pointed at this address (DNS rebinding) opens nothing.
// Loopback names and bare addresses that the connection has come to are always
// the server's own.
func Named(next http.Handler, names []string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		host := r.Host
		if h, _, err := net.SplitHostPort(host); err == nil {
			host = h
		}
		host = strings.TrimSuffix(strings.ToLower(strings.Trim(host, "[]")), ".")
		if !slices.Contains(names, host) && host != "localhost" && !isLocalAddress(host, r) {
			refuse(w, http.StatusMisdirectedRequest, "this server does not answer to the name in the request; open it by one that it was given with --advertise or --console-url")
			return
		}
		next.ServeHTTP(w, r)
	})
}

func isLocalAddress(host string, r *http.Request) bool {
	a, err := netip.ParseAddr(host)
	if err != nil {
		return false
	}
	if a.IsLoopback() {
		return true
	}
	local, ok := r.Context().Value(http.LocalAddrContextKey).(net.Addr)
	if !ok {
		return false
	}
	to, ok := Address(local.String())
	return ok && to == a.Unmap()
}

// Certified asks for a verified client certificate for every path but those
// for which free answers true: agents bring credentials of another kind.
func Certified(next http.Handler, free func(path string) bool) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !free(r.URL.Path) && (r.TLS == nil || len(r.TLS.VerifiedChains) == 0) {
			refuse(w, http.StatusForbidden, "this server asks for a client certificate of an authority that it was given with --client-ca")
			return
		}
		next.ServeHTTP(w, r)
	})
}

// Only serves the paths for which open answers true, and nothing else.
func Only(next http.Handler, open func(path string) bool) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !open(r.URL.Path) {
			refuse(w, http.StatusNotFound, "only agents are served at this address")
			return
		}
		next.ServeHTTP(w, r)
	})
}

func refuse(w http.ResponseWriter, status int, why string) {
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(status)
	// why is a constant of this file and needs no escape.
	w.Write([]byte(`{"title":"` + http.StatusText(status) + `","status":` + strconv.Itoa(status) + `,"detail":"` + why + `"}` + "\n"))
}
