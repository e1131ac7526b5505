// Replays a recorded session (asciicast v2). The recording is fetched when
// somebody asks for it, because each viewing is recorded too.
"use strict";
(() => {
  const player = document.querySelector("#player");
  if (!player) return;
  const $ = (s) => player.querySelector(s);
  const screen = $(".terminal"), seek = $("[data-seek]"), chart = $("[data-chart]"), typed = $("[data-typed-text]");
  const play = $("[data-play]"), speed = $("[data-speed]"), idle = $("[data-idle]"), time = $("[data-time]"), fault = $("[data-fault]"), note = $("[data-note]");
  const pause = 2, bars = 160, most = 64 << 20;

  let events = [], length = 0, keys = [], terminal, header;
  let at = 0, next = 0, playing = false, last = 0;

  // parse reads a cast line by line; what is no event is counted and left out,
  // and an event never comes before the one above it.
  function parse(text) {
    const lines = text.split("\n");
    header = JSON.parse(lines[0]);
    if (!header || header.version !== 2) throw new Error("it is not asciicast version 2");
    let bad = 0, now = 0;
    const out = [];
    for (const line of lines.slice(1)) {
      if (line.trim() === "") continue;
      let e;
      try { e = JSON.parse(line); } catch { bad++; continue; }
      if (!Array.isArray(e) || !Number.isFinite(e[0]) || typeof e[1] !== "string" || typeof e[2] !== "string") { bad++; continue; }
      now = Math.max(now, e[0]);
      out.push({ at: now, kind: e[1], data: e[2] });
    }
    return { events: out, bad };
  }

  async function load() {
    $("[data-load]").disabled = true;
    fault.hidden = true;
    try {
      const res = await fetch(player.dataset.cast, { headers: { Accept: "application/x-asciicast, application/problem+json" }, cache: "no-store" });
      if (!res.ok) {
        let why = "";
        try { why = (await res.json()).detail; } catch { /* the status tells */ }
        throw new Error(why || `the server answered ${res.status}`);
      }
      if (Number(res.headers.get("Content-Length")) > most) throw new Error("it is larger than 64 MiB; replay it with demarc session replay");
      const got = parse(await res.text());
      events = got.events;
      if (got.bad) { note.textContent = `${got.bad} lines of the recording are no events and are left out.`; note.hidden = false; }
    } catch (err) {
      fault.textContent = `The recording cannot be replayed: ${err.message}.`;
      fault.hidden = false;
      $("[data-load]").disabled = false;
      return;
    }
    length = events.length ? events.at(-1).at : 0;
    terminal = new window.DemarcTerminal(header.width, header.height);
    keys = [{ next: 0, at: 0, state: terminal.snapshot() }];
    seek.max = Math.max(length, 0.001);
    seek.step = "any";
    drawChart();
    $("[data-before]").hidden = true;
    $("[data-screen]").hidden = false;
    player.dataset.state = "ready";
    show();
    toggle(true);
    player.focus();
  }

  function clock(s) {
    s = Math.floor(s);
    const two = (n) => String(n).padStart(2, "0");
    return (s >= 3600 ? Math.floor(s / 3600) + ":" : "") + two(Math.floor(s / 60) % 60) + ":" + two(s % 60);
  }

  function drawChart() {
    const out = Array(bars).fill(0), into = Array(bars).fill(0);
    for (const e of events) {
      const i = Math.min(Math.floor(e.at / Math.max(length, 0.001) * bars), bars - 1);
      if (e.kind === "o") out[i] += e.data.length;
      if (e.kind === "i") into[i] += e.data.length;
    }
    const high = Math.log1p(Math.max(...out, ...into, 1)), svg = "http://www.w3.org/2000/svg";
    const bar = (name, i, n, down) => {
      const r = document.createElementNS(svg, "rect"), h = Math.max(18 * Math.log1p(n) / high, n ? 1.5 : 0);
      for (const [k, v] of Object.entries({ class: name, x: i, y: down ? 20 : 20 - h, width: 0.8, height: h })) r.setAttribute(k, v);
      return r;
    };
    chart.replaceChildren();
    for (let i = 0; i < bars; i++) {
      if (out[i]) chart.append(bar("c-out", i, out[i], false));
      if (into[i]) chart.append(bar("c-in", i, into[i], true));
    }
  }

  // apply plays events up to a moment. Every so many it keeps the screen, so
  // that a jump back does not begin at the start.
  function apply(until) {
    const every = Math.max(500, Math.ceil(events.length / 100));
    while (next < events.length && events[next].at <= until) step(every);
  }
  function step(every) {
    const e = events[next++];
    if (e.kind === "o") terminal.write(e.data);
    if (e.kind === "r") { const size = /^(\d{1,4})x(\d{1,4})$/.exec(e.data); if (size) terminal.resize(+size[1], +size[2]); }
    if (next % every === 0 && keys.at(-1).next < next) keys.push({ next, at: e.at, state: terminal.snapshot() });
  }
  function jump(to) {
    to = Math.min(Math.max(to, 0), length);
    if (to < at) {
      const key = keys.findLast((k) => k.at <= to) || keys[0];
      terminal.restore(key.state);
      next = key.next;
    }
    at = to;
    apply(at);
    show();
  }

  function show() {
    apply(at);
    terminal.draw(screen);
    seek.value = at;
    time.textContent = `${clock(at)} / ${clock(length)}`;
    seek.setAttribute("aria-valuetext", `${clock(at)} of ${clock(length)}`);
    if (!typed.hidden) typed.textContent = keysTyped();
  }
  // keysTyped shows what was typed up to now, control characters by name.
  function keysTyped() {
    let s = "";
    for (let i = next - 1; i >= 0 && s.length < 2000; i--) if (events[i].kind === "i") s = events[i].data + s;
    const name = (c) => c === "\r" || c === "\n" ? "⏎\n" : c === "\x7f" ? "⌫" : c === "\x1b" ? "␛" : "^" + String.fromCharCode(c.charCodeAt(0) + 64);
    return s.replace(/[\x00-\x1f\x7f]/g, name).replace(/[\u0080-\u009f\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]/g, "\ufffd") || "nothing was typed yet";
  }

  function toggle(on = !playing) {
    if (on && at >= length) { jump(0); }
    playing = on && length > 0;
    play.textContent = playing ? "Pause" : "Play";
    player.dataset.state = playing ? "playing" : "paused";
    last = performance.now();
    if (playing) requestAnimationFrame(frame);
  }
  function frame(now) {
    if (!playing) return;
    at += Math.max(now - last, 0) / 1000 * Number(speed.value);
    last = now;
    const coming = events[next];
    if (idle.checked && coming && coming.at - at > pause) at = coming.at - pause;
    if (at >= length) { at = length; show(); toggle(false); player.dataset.state = "ended"; return; }
    show();
    requestAnimationFrame(frame);
  }
  function showTyped() {
    typed.hidden = !typed.hidden;
    $("[data-typed]").setAttribute("aria-pressed", String(!typed.hidden));
    show();
  }
  function faster(by) { speed.selectedIndex = Math.min(Math.max(speed.selectedIndex + by, 0), speed.options.length - 1); }
  // single goes to the next output, or to the one before.
  function single(by) {
    toggle(false);
    if (by > 0) { const e = events.slice(next).find((x) => x.kind === "o"); if (e) jump(e.at); return; }
    const before = events.slice(0, next).findLast((x) => x.kind === "o" && x.at < at);
    jump(before ? before.at : 0);
  }

  $("[data-load]").addEventListener("click", load);
  play.addEventListener("click", () => toggle());
  $("[data-typed]").addEventListener("click", showTyped);
  seek.addEventListener("input", () => jump(Number(seek.value)));
  player.addEventListener("keydown", (e) => {
    if (!terminal || e.altKey || e.ctrlKey || e.metaKey || e.target === speed) return;
    if (e.target.tagName === "BUTTON" && (e.key === " " || e.key === "Enter")) return;
    const does = {
      " ": () => toggle(), k: () => toggle(), ArrowLeft: () => jump(at - 5), ArrowRight: () => jump(at + 5), ",": () => single(-1), ".": () => single(1),
      Home: () => jump(0), End: () => jump(length), "+": () => faster(1), "-": () => faster(-1), i: showTyped,
    }[e.key] || (/^[0-9]$/.test(e.key) ? () => jump(length * Number(e.key) / 10) : null);
    if (!does) return;
    e.preventDefault();
    does();
  });
})();
