package api

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/http"
)

// eventLimit bounds one event, in bytes.
const eventLimit = 1 << 20

// Event is one message of the event stream. Name "verdict" carries a Verdict.
type Event struct {
	Name string
	ID   string
	Data json.RawMessage
}

// Events reads the event stream of a tenant, or of all that the caller may see
// if tenant is empty, until ctx ends or the stream breaks; the last value then
// carries the error. It does not connect again: events in between are lost, so
// a caller that connects again reads the posture first.
func (c *Client) Events(ctx context.Context, tenant string) iter.Seq2[Event, error] {
	return func(yield func(Event, error) bool) {
		res, err := c.send(ctx, call{
			method: http.MethodGet, segments: []string{"v1", "events"},
			query: params("tenant", tenant), accept: "text/event-stream",
		})
		if err != nil {
			yield(Event{}, err)
			return
		}
		defer res.Body.Close()
		more := true
		err = readEvents(res.Body, func(e Event) bool { more = yield(e, nil); return more })
		if more {
			yield(Event{}, fmt.Errorf("reading events of %s: %w", c.Base, err))
		}
	}
}

// readEvents parses a text/event-stream (WHATWG HTML, section 9.2) and gives
// each complete event to handle until that says stop, which is no error. The
// end of the stream is io.EOF.
func readEvents(r io.Reader, handle func(Event) bool) error {
	lines := bufio.NewScanner(r)
	lines.Buffer(make([]byte, 0, 4096), eventLimit)
	var event Event
	var data []byte
	for lines.Scan() {
		line := bytes.TrimSuffix(lines.Bytes(), []byte("\r"))
		if len(line) == 0 {
			if data != nil {
				event.Data = data
				if !handle(event) {
					return nil
				}
			}
			event, data = Event{}, nil
			continue
		}
		field, value, _ := bytes.Cut(line, []byte(":"))
		value = bytes.TrimPrefix(value, []byte(" "))
		switch string(field) {
		case "event":
			event.Name = string(value)
		case "id":
			event.ID = string(value)
		case "data":
			if data != nil {
				data = append(data, '\n')
			}
			data = append(data, value...)
			if data == nil {
				data = []byte{}
			}
			if len(data) > eventLimit {
				return errors.New("an event is larger than 1 MiB")
			}
		}
	}
	if err := lines.Err(); err != nil {
		return err
	}
	return io.EOF
}
