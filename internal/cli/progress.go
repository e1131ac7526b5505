package cli

import (
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"
)

// progress shows on a terminal that a request takes longer than a second, from
// its sending to the end of its answer.
type progress struct {
	next http.RoundTripper
	out  io.Writer
}

const (
	progressAfter = time.Second
	progressStep  = 120 * time.Millisecond
)

// RoundTrip implements http.RoundTripper.
func (p *progress) RoundTrip(req *http.Request) (*http.Response, error) {
	stop := spin(p.out, "waiting for "+req.URL.Host)
	res, err := p.next.RoundTrip(req)
	if err != nil {
		stop()
		return nil, err
	}
	res.Body = &endingBody{ReadCloser: res.Body, end: stop}
	return res, nil
}

// endingBody calls end once, when the body was read or closed.
type endingBody struct {
	io.ReadCloser
	end func()
}

func (b *endingBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if err != nil {
		b.end()
	}
	return n, err
}

func (b *endingBody) Close() error {
	b.end()
	return b.ReadCloser.Close()
}

// spin draws a spinner with a label after a second, until stop is called, which
// wipes it; when stop has returned, nothing more is drawn.
func spin(out io.Writer, label string) (stop func()) {
	done, gone := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(gone)
		wait := time.NewTimer(progressAfter)
		defer wait.Stop()
		begun := time.Now()
		frames := []rune("⠋⠙⠸⠴⠦⠇")
		for i := 0; ; i++ {
			select {
			case <-done:
				if i > 0 {
					fmt.Fprint(out, "\r\x1b[K")
				}
				return
			case <-wait.C:
				fmt.Fprintf(out, "\r\x1b[K%c %s, %d s", frames[i%len(frames)], clean(label), int(time.Since(begun).Seconds()))
				wait.Reset(progressStep)
			}
		}
	}()
	return sync.OnceFunc(func() { close(done); <-gone })
}
