// What must move on the pages: filter and keys of the matrix, live changes,
// clocks that run down, secrets in fragments. Every page works without it.
"use strict";
(() => {
  document.documentElement.classList.add("js-on");
  const $ = (s, root = document) => root.querySelector(s);
  const $$ = (s, root = document) => [...root.querySelectorAll(s)];

  document.addEventListener("submit", (e) => {
    const question = e.target.dataset.confirm;
    if (question && !confirm(question)) e.preventDefault();
  });

  const typing = (el) => el && (el.isContentEditable || /^(INPUT|TEXTAREA|SELECT)$/.test(el.tagName));
  document.addEventListener("keydown", (e) => {
    if (e.key === "/" && !typing(e.target) && !e.ctrlKey && !e.metaKey && !e.altKey) {
      const field = $("[data-focus]");
      if (field) { e.preventDefault(); field.focus(); field.select(); }
    }
  });

  // A secret in the fragment of a link goes into its field and out of the
  // address, so that it stays in no history.
  for (const form of $$("form[data-fragment]")) {
    const value = decodeURIComponent(location.hash.slice(1));
    if (!value) continue;
    history.replaceState(null, "", location.pathname + location.search);
    form.elements[form.dataset.fragment].value = value;
    form.requestSubmit();
  }

  // Clocks: how long until, or since, to the second in the last ten minutes.
  const clocks = () => {
    for (const c of $$("time[data-until]")) {
      const s = Math.round((Date.parse(c.dateTime) - Date.now()) / 1000), n = Math.abs(s), two = (x) => String(x).padStart(2, "0");
      const long = n < 600 ? `${Math.floor(n / 60)}:${two(n % 60)} min` : n < 7200 ? `${Math.floor(n / 60)} min` : n < 172800 ? `${Math.floor(n / 3600)} h` : `${Math.floor(n / 86400)} days`;
      c.textContent = s > 0 ? `in ${long}` : `${long} ago`;
      if (s > 0 && s < 300) c.classList.add("soon");
    }
  };
  if ($("time[data-until]")) { clocks(); setInterval(clocks, 1000); }

  // Parts that follow what happens: an event, or a quarter of a minute, has the
  // page read again, and the part put in place if it differs.
  const part = $("[data-refresh]");
  if (part) {
    let busy = false, again = false;
    // What counts as a change: not that time has passed.
    const sense = (el) => { const c = el.cloneNode(true); for (const t of $$("time", c)) t.textContent = ""; for (const n of $$(".new", c)) n.classList.remove("new"); return c.innerHTML.replace(/ class=""/g, ""); };
    const read = async () => {
      if (busy) { again = true; return; }
      busy = true;
      try {
        const res = await fetch(location.href, { headers: { Accept: "text/html" }, redirect: "manual", cache: "no-store" });
        if (res.type === "opaqueredirect") { location.reload(); return; }
        const fresh = res.ok && new DOMParser().parseFromString(await res.text(), "text/html").getElementById(part.id);
        if (fresh && sense(part) !== sense(fresh)) {
          const known = new Set($$("[id]", part).map((e) => e.id)), link = document.activeElement && part.contains(document.activeElement) && document.activeElement.getAttribute("href");
          part.replaceChildren(...fresh.childNodes);
          for (const li of $$("li[id]", part)) if (!known.has(li.id)) li.classList.add("new");
          if (link) { const a = $$("a", part).find((x) => x.getAttribute("href") === link); if (a) a.focus({ preventScroll: true }); }
          clocks();
          $("#announce").textContent = "The list has changed.";
        }
      } catch { /* the next reading tells */ }
      await new Promise((done) => setTimeout(done, 500));
      busy = false;
      if (again) { again = false; read(); }
    };
    setInterval(() => { if (!document.hidden) read(); }, 15000);
    const stream = new EventSource(part.dataset.refresh);
    for (const name of ["activity", "grant", "incident", "lost"]) stream.addEventListener(name, read);
    stream.addEventListener("open", () => { part.dataset.state = "live"; });
    addEventListener("pagehide", () => stream.close());
  }

  const matrix = $("#matrix");
  if (!matrix) return;
  const filter = $("#filter");
  const announce = $("#announce");

  // Filter: hides chips, and controls without any.
  const wanted = () => ({
    q: filter.q.value.trim().toLowerCase(), verdict: filter.verdict ? filter.verdict.value : "",
    level: filter.level.value, control: filter.control.value,
  });
  function apply() {
    const w = wanted();
    let shown = 0, all = 0;
    for (const section of $$(".control", matrix)) {
      let any = false;
      for (const chip of $$(".chip", section)) {
        const d = chip.dataset;
        const show = (!w.verdict || d.verdict === w.verdict) && (!w.level || d.level === w.level) &&
          (!w.control || d.control === w.control) && (!w.q || d.text.toLowerCase().includes(w.q));
        chip.hidden = !show;
        all++;
        if (show) { shown++; any = true; }
      }
      section.hidden = !any;
    }
    $("#nothing").hidden = shown > 0 || all === 0;
    $("#shown").value = shown === all ? "" : `${shown} of ${all}`;
    const active = document.activeElement;
    if (active && active.classList.contains("chip") && active.hidden) filter.q.focus();
  }
  function remember() {
    const url = new URL(location);
    for (const [k, v] of Object.entries(wanted())) v ? url.searchParams.set(k, v) : url.searchParams.delete(k);
    history.replaceState(null, "", url);
  }
  filter.addEventListener("input", () => { apply(); remember(); });
  filter.addEventListener("submit", (e) => { e.preventDefault(); const c = $(".chip:not([hidden])", matrix); if (c) c.focus(); });
  filter.addEventListener("keydown", (e) => {
    if (e.key === "Escape") { filter.q.value = ""; for (const s of $$("select", filter)) s.value = ""; apply(); remember(); }
    if (e.key === "ArrowDown" && e.target === filter.q) { const c = $(".chip:not([hidden])", matrix); if (c) { e.preventDefault(); c.focus(); } }
  });
  apply();

  // Arrow keys: up and down within a side, left and right across the line to
  // the nearest chip.
  function neighbour(chip, key) {
    const mine = chip.closest(".half").classList.contains("customer") ? "customer" : "provider";
    const across = key === "ArrowLeft" || key === "ArrowRight";
    if (across && (key === "ArrowLeft") === (mine === "customer")) return null;
    const side = across ? (mine === "customer" ? "provider" : "customer") : mine;
    const chips = $$(`.half.${side} .chip:not([hidden])`, matrix).filter((c) => c.offsetParent);
    if (!across) return chips[chips.indexOf(chip) + (key === "ArrowDown" ? 1 : -1)];
    const y = (c) => { const r = c.getBoundingClientRect(); return r.top + r.height / 2; };
    const here = y(chip);
    return chips.reduce((best, c) => !best || Math.abs(y(c) - here) < Math.abs(y(best) - here) ? c : best, null);
  }
  matrix.addEventListener("keydown", (e) => {
    const chip = e.target.closest(".chip");
    if (!chip || !/^Arrow|^Home$|^End$|^Escape$/.test(e.key) || e.altKey || e.ctrlKey || e.metaKey) return;
    const visible = $$(".chip:not([hidden])", matrix);
    const next = e.key === "Home" ? visible[0] : e.key === "End" ? visible.at(-1) : e.key === "Escape" ? filter.q : neighbour(chip, e.key);
    if (next) { e.preventDefault(); next.focus({ preventScroll: true }); next.scrollIntoView({ block: "nearest" }); }
  });

  // Slider: days from the tenant's beginning to today.
  const moment = $("#moment"), slider = $("#slider"), date = $("#at");
  const day = 86400000, last = Date.parse(date.dataset.today), days = Math.round((last - Date.parse(date.min)) / day);
  if (days > 0) {
    slider.max = days;
    slider.value = Math.round((Date.parse(date.value) - Date.parse(date.min)) / day);
    slider.hidden = false;
    slider.addEventListener("input", () => { date.value = new Date(Date.parse(date.min) + slider.value * day).toISOString().slice(0, 10); slider.setAttribute("aria-valuetext", date.value); });
    slider.addEventListener("change", () => moment.requestSubmit());
  }
  moment.addEventListener("submit", (e) => {
    e.preventDefault();
    const url = new URL(location);
    date.value && date.value !== date.dataset.today ? url.searchParams.set("at", date.value) : url.searchParams.delete("at");
    url.searchParams.delete("verdict");
    location = url;
  });

  // Live changes: an event says that something changed; the page is then read
  // again, once a second at most, and what differs is put in place.
  if (!matrix.dataset.events) return;
  const banner = $("#banner");
  const pause = 1000;
  let due = false, busy = false, lastRead = 0, missed = false;
  async function update() {
    if (busy) { due = true; return; }
    busy = true;
    due = false;
    const wait = lastRead + pause - Date.now();
    if (wait > 0) await new Promise((done) => setTimeout(done, wait));
    lastRead = Date.now();
    try {
      const res = await fetch(location.href, { headers: { Accept: "text/html" }, redirect: "manual", cache: "no-store" });
      if (res.type === "opaqueredirect") { location.reload(); return; }
      if (!res.ok) throw new Error(String(res.status));
      place(new DOMParser().parseFromString(await res.text(), "text/html"));
    } catch {
      lost("The page could not be brought up to date. Trying again.");
      setTimeout(update, 5 * pause);
    } finally {
      busy = false;
    }
    if (due) update();
  }
  function place(fresh) {
    for (const section of $$(".control", fresh)) {
      const old = document.getElementById(section.id);
      if (!old) { location.reload(); return; }
      for (const half of $$(".half", section)) {
        const side = half.classList.contains("customer") ? "customer" : "provider";
        placeHalf($(`.half.${side}`, old), half);
      }
    }
    const heads = $("[data-part=heads]", fresh);
    if (heads) $("[data-part=heads]", matrix).replaceWith(document.adoptNode(heads));
    const choice = $("#verdict", fresh);
    if (choice && filter.verdict) { const v = filter.verdict.value; filter.verdict.replaceChildren(...choice.children); filter.verdict.value = v; }
    apply();
    tell();
  }
  const face = (chip) => { const c = chip.cloneNode(true); c.hidden = false; c.classList.remove("flash"); return c.outerHTML; };
  function placeHalf(old, fresh) {
    const focused = document.activeElement && document.activeElement.id;
    const before = new Map($$(".chip", old).map((c) => [c.id, c]));
    const items = [...fresh.children].map((li) => {
      const chip = $(".chip", li), was = before.get(chip.id);
      if (was && face(was) === face(chip)) return was.parentElement;
      const fit = document.adoptNode(li);
      $(".chip", fit).classList.add("flash");
      return fit;
    });
    const kept = [...old.children];
    if (items.length === kept.length && items.every((li, i) => li === kept[i])) return;
    old.replaceChildren(...items);
    if (focused && document.activeElement.id !== focused && before.has(focused)) { const c = document.getElementById(focused); if (c) c.focus({ preventScroll: true }); }
  }
  matrix.addEventListener("animationend", (e) => e.target.classList.remove("flash"));
  function lost(text) { banner.textContent = text; banner.hidden = false; }

  const words = { "met": "met", "not-met": "not met", "unknown": "unknown", "not-applicable": "not applicable", "waived": "waived" };
  let heard = [];
  function tell() {
    if (heard.length === 1) announce.textContent = `${heard[0].duty} of ${heard[0].subject.name} is now ${words[heard[0].verdict] || heard[0].verdict}.`;
    if (heard.length > 1) announce.textContent = `${heard.length} verdicts have changed.`;
    heard = [];
  }
  const stream = new EventSource(matrix.dataset.events);
  stream.addEventListener("verdict", (e) => {
    try { heard.push(JSON.parse(e.data)); } catch { /* the page itself tells */ }
    update();
  });
  // What no event of this tenant tells: the provider's own estate, and
  // subscriptions that begin or end.
  setInterval(() => { if (!document.hidden) update(); }, 60 * pause);
  stream.addEventListener("lost", () => location.reload());
  stream.addEventListener("open", () => {
    banner.hidden = true;
    matrix.dataset.state = "live";
    if (missed) update();
    missed = false;
  });
  stream.addEventListener("error", () => {
    missed = true;
    matrix.dataset.state = "lost";
    lost(stream.readyState === EventSource.CLOSED
      ? "Live changes have ended. Load the page again to go on."
      : "The connection is lost: what you see may be old. Connecting again…");
  });
  addEventListener("pagehide", () => stream.close());
  addEventListener("pageshow", (e) => { if (e.persisted) location.reload(); });
})();
