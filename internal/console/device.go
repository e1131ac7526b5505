package console

import (
	"net/http"
	"strings"

	"github.com/demarc/demarc/api"
)

// devicePage confirms a program that asks to act as the visitor.
type devicePage struct {
	Code      string
	Asks      *api.DeviceWaiting
	Done      bool
	Confirmed bool
	Problem   *problemPage
}

func (c *Console) device(v *visit) error {
	c.render(v, http.StatusOK, "device", "Sign in on another device", devicePage{})
	return nil
}

func (c *Console) answerDevice(v *visit) error {
	form := v.r.PostForm
	page := devicePage{Code: strings.TrimSpace(form.Get("code"))}
	var err error
	switch do := form.Get("do"); do {
	case "confirm", "deny":
		page.Done, page.Confirmed = true, do == "confirm"
		err = v.client.AnswerDevice(v, api.DeviceAnswer{Code: page.Code, Confirm: page.Confirmed})
	case "show":
		var w api.DeviceWaiting
		w, err = v.client.DeviceWaiting(v, api.DeviceCode{Code: page.Code})
		page.Asks = &w
	default:
		err = unknownForm
	}
	if err == nil {
		c.render(v, http.StatusOK, "device", "Sign in on another device", page)
		return nil
	}
	page.Asks, page.Done = nil, false
	return c.again(v, err, "device", "Sign in on another device", func(p *problemPage) any { page.Problem = p; return page })
}
