package api

import (
	"context"
	"fmt"
	"io"
	"iter"
	"maps"
	"net/http"
	"net/url"
)

// Collect reads a list to its end. On an error it returns what came before.
func Collect[T any](list iter.Seq2[T, error]) ([]T, error) {
	items := []T{}
	for item, err := range list {
		if err != nil {
			return items, err
		}
		items = append(items, item)
	}
	return items, nil
}

// get reads one thing.
func get[T any](ctx context.Context, c *Client, query url.Values, segments ...string) (T, error) {
	var out T
	err := c.do(ctx, call{method: http.MethodGet, segments: segments, query: query}, &out)
	return out, err
}

// post sends in and reads what it made.
func post[T any](ctx context.Context, c *Client, in any, segments ...string) (T, error) {
	var out T
	err := c.do(ctx, call{method: http.MethodPost, segments: segments, body: in}, &out)
	return out, err
}

// list reads page after page, as the caller asks for items. It stops at the
// first error, which it hands on, and at a cursor that comes twice.
func list[T any](ctx context.Context, c *Client, query url.Values, segments ...string) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		var none T
		query := maps.Clone(query)
		if query == nil {
			query = url.Values{}
		}
		for {
			page, err := get[List[T]](ctx, c, query, segments...)
			if err != nil {
				yield(none, err)
				return
			}
			for _, item := range page.Items {
				if !yield(item, nil) {
					return
				}
			}
			if page.Next == "" {
				return
			}
			if page.Next == query.Get("cursor") {
				yield(none, fmt.Errorf("%s gave the same page of a list twice", c.Base))
				return
			}
			query.Set("cursor", page.Next)
		}
	}
}

// download copies a document to w as it comes.
func download(ctx context.Context, c *Client, w io.Writer, query url.Values, segments ...string) error {
	res, err := c.send(ctx, call{method: http.MethodGet, segments: segments, query: query, accept: "*/*"})
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if _, err := io.Copy(w, res.Body); err != nil {
		return fmt.Errorf("copying the document from %s: %w", c.Base, err)
	}
	return nil
}

// params makes a query of pairs, leaving out what is empty.
func params(pairs ...string) url.Values {
	q := url.Values{}
	for i := 0; i+1 < len(pairs); i += 2 {
		if pairs[i+1] != "" {
			q.Set(pairs[i], pairs[i+1])
		}
	}
	return q
}
