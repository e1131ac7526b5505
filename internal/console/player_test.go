package console_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"github.com/demarc/demarc/api"
)

// screen is what the replayed terminal says.
const screen = `document.querySelector(".terminal").innerText`

// TestPlayerByKeyboard replays a recording without a pointer.
func TestPlayerByKeyboard(t *testing.T) {
	ctx := browse(t)
	f := newFakeAPI(t, 1, time.Now().UTC())
	base := site(t, f)
	signIn(t, ctx, base, "owner")
	state := func(word string) chromedp.Action {
		return until(`document.querySelector("#player").dataset.state === "` + word + `"`)
	}
	run(t, ctx, "open", chromedp.Navigate(base+"/tenants/globex/sessions/s-1"), chromedp.WaitVisible("[data-load]", chromedp.ByQuery))
	if f.access.watched != 0 {
		t.Error("the recording was fetched before anybody asked")
	}
	run(t, ctx, "replay", chromedp.Focus("[data-load]", chromedp.ByQuery), chromedp.KeyEvent(kb.Enter), state("playing"), until(`document.activeElement.id === "player"`))
	shoot(t, ctx, "player")
	run(t, ctx, "pause, and jump to the end", chromedp.KeyEvent(" "), state("paused"), chromedp.KeyEvent(kb.End),
		until(screen+`.includes("logout")`), until(screen+`.includes("Active: failed")`), until(`document.querySelector(".terminal .tf1.t-bold").textContent === "failed"`))
	run(t, ctx, "what was typed", chromedp.KeyEvent("i"), until(`document.querySelector("[data-typed-text]").textContent.includes("systemctl restart storaged⏎")`))
	shoot(t, ctx, "player-end")
	run(t, ctx, "back", chromedp.KeyEvent("0"), until(`!`+screen+`.includes("systemctl")`), until(`document.querySelector("[data-seek]").valueAsNumber === 0`))
	run(t, ctx, "one output on", chromedp.KeyEvent("."), until(screen+`.trim() === "root@hv-1:~#"`), chromedp.KeyEvent("."), until(screen+`.includes("Active: failed")`), chromedp.KeyEvent(","), until(`!`+screen+`.includes("failed")`))
	run(t, ctx, "faster, to the end", chromedp.KeyEvent("+"), chromedp.KeyEvent("+"), chromedp.KeyEvent("+"), chromedp.KeyEvent("+"), until(`document.querySelector("[data-speed]").value === "16"`), chromedp.KeyEvent(" "), state("ended"), until(screen+`.includes("logout")`))
	if f.access.watched != 1 {
		t.Errorf("the recording was fetched %d times", f.access.watched)
	}
}

// hostileCast is a recording of a program that wants out of its terminal.
func hostileCast() string {
	events := []string{
		"\x1b[999999999999999C\x1b[99999999B\x1b[2147483648;2147483648H\x1b[-5A\x1b[;;;;;;;;;;;;;;;;;;;;;;;;;;m",
		"\x1b[999999L\x1b[999999M\x1b[999999P\x1b[999999@\x1b[5;2r\x1b[r",
		"\x1b[?1049h\x1b[?1049h\x1b[?25l\x1b[1;1Hhome" + strings.Repeat("\u0301", 500),
		"\x1bc",
		"<script>window.pwned = 1</script><img src=x onerror=alert(1)>\r\n",
		"\x1b]0;<b>another title</b>\x07\x1b]2;title\x1b\\",
		"\x1b]8;;javascript:alert(1)\x07a link\x1b]8;;\x07\r\n",
		"\x1b]52;c;cm0gLXJmIC8=\x07", // the clipboard
		"\x1b[c\x1b[5n\x1b[6n\x05",   // questions to the terminal
		"\x1bP+q544e\x1b\\\x1b_payload\x1b\\\x1b^private\x1b\\",
		"\x1b[8mhidden text\x1b[0m \x1b[30;40mblack on black\x1b[0m",
		"\r\nuser\u202emoc.live\u202c\u200bzero\r\n",
		"\x00\x07\x0e\x0f\x7f\u0085\u009b31m",
		"\x1b]0;a title without an end " + strings.Repeat("x", 4200) + "\r\nshown after it",
	}
	var b strings.Builder
	b.WriteString(`{"version":2,"width":80,"height":24,"title":"<script>alert(1)</script>"}` + "\n")
	for i, e := range events {
		raw, _ := json.Marshal([]any{float64(i) * 0.01, "o", e})
		b.Write(append(raw, '\n'))
	}
	b.WriteString(`[0.2,"r","99999x99999"]` + "\n" + `[0.2,"r","60x10"]` + "\n" + `[0.2,"r","80x24"]` + "\n" + `not json` + "\n" + `{"a":1}` + "\n" + `["x","o","no time"]` + "\n" + `[1e400,"o","never"]` + "\n" + `[0.1,"o",5]` + "\n" + `[0.3,"x","unknown kind"]` + "\n")
	return b.String()
}

// TestHostileRecording replays sequences that leave a terminal, and what was made
// to be overlooked: nothing but the characters of the screen changes, and all
// of them can be read.
func TestHostileRecording(t *testing.T) {
	ctx := browse(t)
	f := newFakeAPI(t, 1, time.Now().UTC())
	f.access.cast = hostileCast()
	base := site(t, f)
	signIn(t, ctx, base, "owner")
	var title, after, text string
	var odd, width int
	run(t, ctx, "replay", chromedp.Navigate(base+"/tenants/globex/sessions/s-1"), chromedp.WaitVisible("[data-load]", chromedp.ByQuery), chromedp.Title(&title),
		chromedp.Click("[data-load]", chromedp.ByQuery), until(`document.querySelector("#player").dataset.state === "ended"`),
		chromedp.Title(&after), chromedp.Evaluate(screen, &text),
		// Nothing but spans with classes of ours is in the terminal.
		chromedp.Evaluate(`[...document.querySelectorAll(".terminal *")].filter((e) => e.tagName !== "SPAN" || [...e.attributes].some((a) => a.name !== "class" || !/^(t[fb]\d{1,2}|t-[a-z]+| )*$/.test(a.value))).length`, &odd),
		chromedp.Evaluate(`document.documentElement.scrollWidth - innerWidth`, &width))
	var pwned bool
	run(t, ctx, "look", chromedp.Evaluate(`Boolean(window.pwned) || location.href.includes("x") && !location.href.includes("globex")`, &pwned))
	if title != after || odd > 0 || pwned || width > 0 {
		t.Errorf("title %q, then %q; %d odd elements; pwned %v; %d px too wide", title, after, odd, pwned, width)
	}
	for _, want := range []string{"window.pwned = 1", "a link", "hidden text", "black on black", "user\ufffdmoc.live\ufffd\ufffdzero", "shown after it"} {
		if !strings.Contains(text, want) {
			t.Errorf("the screen does not show %q: %q", want, text)
		}
	}
	if strings.Contains(text, "another title") || strings.Contains(text, "payload") || strings.Contains(text, "never") {
		t.Errorf("the screen shows what no terminal shows: %q", text)
	}
	run(t, ctx, "the note", until(`document.querySelector("[data-note]").textContent.startsWith("5 lines")`))
	var style string
	run(t, ctx, "black on black", chromedp.Evaluate(`[...document.querySelectorAll(".terminal span span")].find((s) => s.textContent.includes("black on")).className`, &style))
	if style != "tf15 tb0" {
		t.Errorf("black on black is drawn as %q", style)
	}

	// Random bytes leave the terminal whole.
	var fault string
	run(t, ctx, "random sequences", chromedp.Evaluate(`(() => {
		let seed = 7; const random = (n) => (seed = seed * 1103515245 + 12345 & 0x7fffffff) % n;
		const t = new DemarcTerminal(20, 5), pre = document.createElement("pre"), parts = ["\x1b", "\x1b[", "\x1b]", "\x1b[9999", "?1049h", "?1049l", "L", "M", "P", "@", "X", "J", "K", "r", "5;3r", "S", "T", "A", "H", "\n", "\r", "\t", "\b", "\u202e", "\u0301", "漢", "\x1b7", "\x1b8", "\x1bM", "\x18", "m", "38;5;", "x"];
		for (const [w, h] of [[1e9, 1e9], [-5, -5], ["x", null], [0, 0]]) { const odd = new DemarcTerminal(w, h); if (!(odd.cols >= 1 && odd.cols <= 500 && odd.rows >= 1 && odd.rows <= 200)) return "size " + w; odd.write("漢\x1b[5Xab"); }
		let kept = t.snapshot();
		for (let i = 0; i < 60000; i++) {
			t.write(parts[random(parts.length)] + String.fromCodePoint(random(0x3000)));
			if (i % 97 === 0) t.resize(random(60), random(30));
			if (i % 501 === 0) kept = t.snapshot();
			if (i % 887 === 0) t.restore(kept);
			if (i % 300 === 0) t.draw(pre);
			if (t.lines.length !== t.rows || t.lines.some((l) => l.text.length !== t.cols || l.style.length !== t.cols) || !(t.x >= 0 && t.x < t.cols && t.y >= 0 && t.y < t.rows)) return "broken at " + i;
		}
		return "";
	})()`, &fault))
	if fault != "" {
		t.Error(fault)
	}
}

// TestRecordingThatCannotBeShown says why: the chain is broken, the answer is no
// recording.
func TestRecordingThatCannotBeShown(t *testing.T) {
	ctx := browse(t)
	f := newFakeAPI(t, 1, time.Now().UTC())
	base := site(t, f)
	signIn(t, ctx, base, "owner")
	for name, c := range map[string]struct {
		cast  string
		fault *api.Problem
		shows string
	}{
		"broken chain":   {"", &api.Problem{Status: 409, Title: "Conflict", Detail: "part 3 is not what was sealed"}, "part 3 is not what was sealed"},
		"not asciicast":  {"<html>", nil, "cannot be replayed"},
		"other version":  {`{"version":3,"width":80}` + "\n", nil, "not asciicast version 2"},
		"nothing in it":  {`{"version":2,"width":80,"height":24}` + "\n", nil, ""},
		"half an answer": {`{"version":2,"width":80,"height":24}` + "\n" + `[0.1,"o","cut`, nil, ""},
	} {
		f.mu.Lock()
		f.access.cast, f.access.castFault = c.cast, c.fault
		f.mu.Unlock()
		wants := until(`document.querySelector("[data-fault]").textContent.includes("` + c.shows + `") && !document.querySelector("[data-fault]").hidden && !document.querySelector("[data-load]").disabled`)
		if c.shows == "" {
			wants = until(`!document.querySelector("[data-screen]").hidden && document.querySelector("[data-fault]").hidden`)
		}
		run(t, ctx, name, chromedp.Navigate(base+"/tenants/globex/sessions/s-1"), chromedp.WaitVisible("[data-load]", chromedp.ByQuery), chromedp.Click("[data-load]", chromedp.ByQuery), wants)
	}
}

// TestListsFollowWhatHappens: a request that is asked for while its list is open
// appears, and the activity tells an act as it happens.
func TestListsFollowWhatHappens(t *testing.T) {
	ctx := browse(t)
	f := newFakeAPI(t, 1, time.Now().UTC())
	base := site(t, f)
	signIn(t, ctx, base, "approver")
	run(t, ctx, "open", chromedp.Navigate(base+"/tenants/globex/access"), until(`document.querySelector("#grants").dataset.state === "live"`))
	f.mu.Lock()
	f.access.grants = append(f.access.grants, f.grant("gr-77", "requested", func(g *api.Grant) { g.Ticket = "INC-NEW" }))
	f.mu.Unlock()
	f.tell("activity", "{}")
	run(t, ctx, "see the request", until(`document.querySelector("#grants").innerText.includes("INC-NEW")`), until(`document.querySelector("#announce").textContent === "The list has changed."`))
	run(t, ctx, "open the activity", chromedp.Navigate(base+"/tenants/globex/activity"), until(`document.querySelector("#feed").dataset.state === "live"`))
	f.mu.Lock()
	f.access.activity = append([]api.Activity{{Index: 400, Time: f.now, Words: "Sam Support closed a session", Action: "session.close", Subject: "session/s-1", Proof: "/v1/ledger/bundle"}}, f.access.activity...)
	f.mu.Unlock()
	f.tell("activity", "{}")
	run(t, ctx, "see the act", until(`document.querySelector("#act-400.new")`))
}
