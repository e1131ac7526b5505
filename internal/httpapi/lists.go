package httpapi

import (
	"encoding/base64"
	"errors"
	"strconv"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"github.com/demarc/demarc/api"
	"github.com/demarc/demarc/internal/store"
)

// PageParams is embedded in the input of lists.
type PageParams struct {
	Cursor string `query:"cursor" doc:"next of the former page" maxLength:"1000"`
	Limit  int    `query:"limit" doc:"most items to return" minimum:"1" maximum:"1000" default:"200"`
}

func (p PageParams) page() (store.Page, error) {
	after, err := base64.RawURLEncoding.DecodeString(p.Cursor)
	if err != nil {
		return store.Page{}, huma.Error422UnprocessableEntity("the cursor is not one that a list gave")
	}
	return store.Page{After: string(after), Limit: p.Limit}, nil
}

func cursor(after string) string { return base64.RawURLEncoding.EncodeToString([]byte(after)) }

// list is the output of a list.
type list[T any] struct{ Body api.List[T] }

// body is the output of everything else.
type body[T any] struct {
	ETag string `header:"ETag"`
	Body T
}

// plain returns v as the body of a response.
func plain[T any](v T, err error) (*body[T], error) {
	if err != nil {
		return nil, err
	}
	return &body[T]{Body: v}, nil
}

// versioned returns v with its version as the ETag.
func versioned[T any](v T, version int64, err error) (*body[T], error) {
	if err != nil {
		return nil, err
	}
	return &body[T]{ETag: etag(version), Body: v}, nil
}

func etag(version int64) string { return `"` + strconv.FormatInt(version, 10) + `"` }

// IfMatch is embedded in the input of changes. Without it the change applies
// to whatever version is there.
type IfMatch struct {
	Match string `header:"If-Match" doc:"ETag of the version that the change is meant for" maxLength:"40"`
}

// version returns the version asked for, or 0.
func (m IfMatch) version() (int64, error) {
	if m.Match == "" || m.Match == "*" {
		return 0, nil
	}
	v, err := strconv.ParseInt(strings.Trim(strings.TrimPrefix(m.Match, "W/"), `"`), 10, 64)
	if err != nil || v <= 0 {
		return 0, huma.Error422UnprocessableEntity("If-Match must be an ETag that the API gave")
	}
	return v, nil
}

// failed makes the refusal of a change that was meant for another version the
// 412 that RFC 9110 section 13.1.1 asks for.
func (m IfMatch) failed(err error) error {
	if m.Match != "" && errors.Is(err, store.ErrStale) {
		return huma.Error412PreconditionFailed("it was changed meanwhile: the ETag in If-Match is not the present one; read it again and repeat the change")
	}
	return err
}

// paged makes a page of items; next is the key of the last one if the page is full.
func paged[D, T any](items []D, limit int, key func(D) string, convert func(D) T) *list[T] {
	out := &list[T]{Body: api.List[T]{Items: make([]T, 0, len(items))}}
	for _, it := range items {
		out.Body.Items = append(out.Body.Items, convert(it))
	}
	if len(items) == limit && limit > 0 {
		out.Body.Next = cursor(key(items[len(items)-1]))
	}
	return out
}
