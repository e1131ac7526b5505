// A terminal for replays: it draws text, moves its cursor, clears and colours,
// and drops everything else. What a recorded program sent can change the
// characters on this screen and nothing besides: no titles, no links, no
// clipboard, no answers. Text that a program tried to hide is shown.
"use strict";
(() => {
  const most = { cols: 500, rows: 200, marks: 4, params: 16, number: 9999, string: 4096 };
  // A style is a number: foreground, background (16 is the default) and flags.
  const plain = 16 | (16 << 5), bold = 1 << 10, dim = 1 << 11, italic = 1 << 12, underline = 1 << 13, inverse = 1 << 14, struck = 1 << 15;
  const frames = { j: "┘", k: "┐", l: "┌", m: "└", n: "┼", q: "─", t: "├", u: "┤", v: "┴", w: "┬", x: "│", a: "▒", "`": "◆", "~": "·" };
  const combining = /^[\p{M}\u200d\ufe0e\ufe0f]$/u;
  // Characters that reorder or hide others are shown as what they are not.
  const deceptive = /[\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\u{e0000}-\u{e007f}]/u;
  const wide = /^[\u1100-\u115f\u2e80-\u303e\u3041-\u33ff\u3400-\u4dbf\u4e00-\u9fff\ua000-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff01-\uff60\uffe0-\uffe6\u{1f300}-\u{1f64f}\u{1f680}-\u{1f6ff}\u{1f900}-\u{1f9ff}\u{20000}-\u{3fffd}]$/u;

  const clamp = (n, low, high) => Math.min(Math.max(n, low), high);

  // colour of the 256, or of red, green and blue, as the nearest of the 16.
  function nearest(r, g, b) {
    const high = Math.max(r, g, b);
    if (high < 48) return 0;
    if (high - Math.min(r, g, b) < 32) return high < 96 ? 8 : high < 200 ? 7 : 15;
    return (r > high / 2 ? 1 : 0) | (g > high / 2 ? 2 : 0) | (b > high / 2 ? 4 : 0) | (high > 210 ? 8 : 0);
  }
  function indexed(n) {
    if (!(n >= 0 && n <= 255)) return 16;
    if (n < 16) return n;
    if (n >= 232) return nearest(...Array(3).fill(8 + (n - 232) * 10));
    const step = [0, 95, 135, 175, 215, 255];
    n -= 16;
    return nearest(step[Math.floor(n / 36)], step[Math.floor(n / 6) % 6], step[n % 6]);
  }

  class Terminal {
    constructor(cols, rows) {
      this.cols = clamp(cols | 0 || 80, 1, most.cols);
      this.rows = clamp(rows | 0 || 24, 1, most.rows);
      this.reset();
    }

    reset() {
      this.lines = Array.from({ length: this.rows }, () => this.blank());
      this.other = null; // the main screen, while a program uses the second
      this.x = this.y = 0;
      this.style = plain;
      this.saved = [0, 0, plain];
      this.top = 0;
      this.bottom = this.rows - 1;
      this.wrap = true;
      this.wrapping = false; // the cursor stands beyond the last column
      this.cursor = true;
      this.framed = false;
      this.state = "text";
      this.seq = "";
      this.length = 0;
      this.all();
    }

    blank() { return { text: Array(this.cols).fill(" "), style: Array(this.cols).fill(plain) }; }
    all() { this.dirty = new Set(Array.from({ length: this.rows }, (_, i) => i)); }

    resize(cols, rows) {
      cols = clamp(cols | 0, 1, most.cols);
      rows = clamp(rows | 0, 1, most.rows);
      // What lies below the cursor goes first, then what is above.
      const fit = (lines, y) => {
        while (lines.length > rows) { if (lines.length - 1 > y) lines.pop(); else { lines.shift(); y--; } }
        while (lines.length < rows) lines.push({ text: [], style: [] });
        for (const l of lines) {
          l.text.length = l.style.length = Math.min(l.text.length, cols);
          while (l.text.length < cols) { l.text.push(" "); l.style.push(plain); }
        }
      };
      fit(this.lines, this.y);
      if (this.other) fit(this.other, this.saved[1]);
      this.y = clamp(this.y, 0, rows - 1);
      this.cols = cols;
      this.rows = rows;
      this.x = clamp(this.x, 0, cols - 1);
      this.top = 0;
      this.bottom = rows - 1;
      this.wrapping = false;
      this.all();
    }

    snapshot() {
      const copy = (lines) => lines && lines.map((l) => ({ text: l.text.slice(), style: l.style.slice() }));
      return { ...this, dirty: null, saved: this.saved.slice(), lines: copy(this.lines), other: copy(this.other) };
    }
    restore(s) {
      const copy = (lines) => lines && lines.map((l) => ({ text: l.text.slice(), style: l.style.slice() }));
      Object.assign(this, s, { saved: s.saved.slice(), lines: copy(s.lines), other: copy(s.other) });
      this.all();
    }

    write(data) {
      for (const ch of data) this.feed(ch, ch.codePointAt(0));
    }

    feed(ch, code) {
      if (code === 0x18 || code === 0x1a) { this.state = "text"; return; }
      switch (this.state) {
        case "text":
          if (code === 0x1b) this.state = "escape";
          else if (code < 0x20) this.control(code);
          else if (code >= 0x7f && code < 0xa0) return;
          else this.put(ch);
          return;
        case "escape": this.escape(ch, code); return;
        case "skip": this.framed = this.seq === "(" ? ch === "0" : this.framed; this.state = "text"; return;
        case "csi":
          if (code === 0x1b) { this.state = "escape"; return; }
          if (code < 0x20) { this.control(code); return; }
          if (code >= 0x40 && code <= 0x7e) { this.state = "text"; this.csi(ch); return; }
          if (code > 0x7e || this.seq.length > 128) { this.state = "text"; return; }
          this.seq += ch;
          return;
        case "string": // title, clipboard, link, image: dropped
          // One that never ends would hide all that follows.
          if (code === 0x07 || ++this.length > most.string) this.state = "text";
          else if (code === 0x1b) this.state = "escape";
          return;
      }
    }

    control(code) {
      switch (code) {
        case 8: this.x = Math.max(this.x - 1, 0); this.wrapping = false; this.touch(this.y); break;
        case 9: this.moveTo(Math.min((this.x >> 3 << 3) + 8, this.cols - 1), this.y); break;
        case 10: case 11: case 12: this.feedLine(); break;
        case 13: this.moveTo(0, this.y); break;
      }
    }

    escape(ch, code) {
      this.state = "text";
      switch (ch) {
        case "[": this.state = "csi"; this.seq = ""; break;
        case "]": case "P": case "X": case "^": case "_": this.state = "string"; this.length = 0; break;
        case "(": case ")": case "*": case "+": case "#": case "%": case " ": this.state = "skip"; this.seq = ch; break;
        case "7": this.saved = [this.x, this.y, this.style]; break;
        case "8": this.moveTo(this.saved[0], this.saved[1]); this.style = this.saved[2]; break;
        case "D": this.feedLine(); break;
        case "E": this.moveTo(0, this.y); this.feedLine(); break;
        case "M": if (this.y === this.top) this.scroll(-1); else this.moveTo(this.x, this.y - 1); break;
        case "c": this.reset(); break;
        default: if (code === 0x1b) this.state = "escape";
      }
    }

    csi(final) {
      const seq = this.seq, mode = /^[?>=<]/.test(seq) ? seq[0] : "";
      if (/[ -/]/.test(seq)) return; // intermediate bytes: nothing that is drawn
      const n = seq.slice(mode.length).split(/[;:]/, most.params).map((s) => s === "" ? NaN : Math.min(parseInt(s, 10), most.number));
      if (mode) {
        if (mode === "?" && (final === "h" || final === "l")) for (const m of n) this.mode(m, final === "h");
        return;
      }
      const at = (i, otherwise) => n[i] > 0 ? n[i] : otherwise;
      const one = at(0, 1);
      switch (final) {
        case "A": this.moveTo(this.x, Math.max(this.y - one, this.y >= this.top ? this.top : 0)); break;
        case "B": case "e": this.moveTo(this.x, Math.min(this.y + one, this.y <= this.bottom ? this.bottom : this.rows - 1)); break;
        case "C": case "a": this.moveTo(this.x + one, this.y); break;
        case "D": this.moveTo(this.x - one, this.y); break;
        case "E": this.moveTo(0, this.y + one); break;
        case "F": this.moveTo(0, this.y - one); break;
        case "G": case "`": this.moveTo(one - 1, this.y); break;
        case "H": case "f": this.moveTo(at(1, 1) - 1, one - 1); break;
        case "d": this.moveTo(this.x, one - 1); break;
        case "J": this.clear(n[0] || 0); break;
        case "K": this.erase(this.y, n[0] === 1 || n[0] === 2 ? 0 : this.x, n[0] === 1 ? this.x + 1 : this.cols); break;
        case "X": this.erase(this.y, this.x, this.x + one); break;
        case "@": this.shift(one); break;
        case "P": this.shift(-one); break;
        case "L": if (this.y >= this.top && this.y <= this.bottom) this.scroll(-one, this.y); break;
        case "M": if (this.y >= this.top && this.y <= this.bottom) this.scroll(one, this.y); break;
        case "S": this.scroll(one); break;
        case "T": this.scroll(-one); break;
        case "r": {
          const top = at(0, 1) - 1, bottom = Math.min(at(1, this.rows), this.rows) - 1;
          if (top < bottom) { this.top = top; this.bottom = bottom; this.moveTo(0, 0); }
          break;
        }
        case "s": this.saved = [this.x, this.y, this.style]; break;
        case "u": this.moveTo(this.saved[0], this.saved[1]); this.style = this.saved[2]; break;
        case "m": this.colour(n); break;
      }
    }

    mode(m, on) {
      switch (m) {
        case 7: this.wrap = on; break;
        case 25: this.cursor = on; this.touch(this.y); break;
        case 47: case 1047: case 1049:
          if (on === Boolean(this.other)) return;
          if (on) {
            if (m === 1049) this.saved = [this.x, this.y, this.style];
            this.other = this.lines;
            this.lines = Array.from({ length: this.rows }, () => this.blank());
          } else {
            this.lines = this.other;
            this.other = null;
            if (m === 1049) { this.moveTo(this.saved[0], this.saved[1]); this.style = this.saved[2]; }
          }
          this.all();
      }
    }

    colour(n) {
      for (let i = 0; i < n.length; i++) {
        const v = n[i] || 0;
        const fg = (c) => { this.style = this.style & ~31 | c; };
        const bg = (c) => { this.style = this.style & ~(31 << 5) | c << 5; };
        switch (true) {
          case v === 0: this.style = plain; break;
          case v === 1: this.style |= bold; break;
          case v === 2: this.style |= dim; break;
          case v === 3: this.style |= italic; break;
          case v === 4: this.style |= underline; break;
          case v === 7: this.style |= inverse; break;
          case v === 9: this.style |= struck; break;
          case v === 22: this.style &= ~(bold | dim); break;
          case v === 23: this.style &= ~italic; break;
          case v === 24: this.style &= ~underline; break;
          case v === 27: this.style &= ~inverse; break;
          case v === 29: this.style &= ~struck; break;
          case v >= 30 && v <= 37: fg(v - 30); break;
          case v >= 40 && v <= 47: bg(v - 40); break;
          case v >= 90 && v <= 97: fg(v - 82); break;
          case v >= 100 && v <= 107: bg(v - 92); break;
          case v === 39: fg(16); break;
          case v === 49: bg(16); break;
          case v === 38 || v === 48: {
            const set = v === 38 ? fg : bg;
            if (n[i + 1] === 5) { set(indexed(n[i + 2])); i += 2; }
            else if (n[i + 1] === 2) { set(nearest(n[i + 2] || 0, n[i + 3] || 0, n[i + 4] || 0)); i += 4; }
            break;
          }
        }
      }
    }

    touch(y) { this.dirty.add(y); }

    moveTo(x, y) {
      this.touch(this.y);
      this.x = clamp(x, 0, this.cols - 1);
      this.y = clamp(y, 0, this.rows - 1);
      this.wrapping = false;
      this.touch(this.y);
    }

    feedLine() {
      if (this.y === this.bottom) { this.scroll(1); this.wrapping = false; }
      else this.moveTo(this.x, this.y + 1);
    }

    // scroll moves the lines of the region up by n, or down if n is negative.
    scroll(n, top = this.top) {
      const count = Math.min(Math.abs(n), this.bottom - top + 1);
      for (let i = 0; i < count; i++) {
        if (n > 0) { this.lines.splice(top, 1); this.lines.splice(this.bottom, 0, this.blank()); }
        else { this.lines.splice(this.bottom, 1); this.lines.splice(top, 0, this.blank()); }
      }
      for (let y = top; y <= this.bottom; y++) this.touch(y);
    }

    erase(y, from, to) {
      const l = this.lines[y];
      for (let x = Math.max(from, 0); x < Math.min(to, this.cols); x++) { l.text[x] = " "; l.style[x] = this.style & (31 << 5) | 16; }
      this.touch(y);
    }

    clear(what) {
      const from = what === 0 ? this.y + 1 : 0, to = what === 1 ? this.y : this.rows;
      for (let y = from; y < to; y++) this.erase(y, 0, this.cols);
      if (what === 0) this.erase(this.y, this.x, this.cols);
      if (what === 1) this.erase(this.y, 0, this.x + 1);
    }

    shift(n) {
      const l = this.lines[this.y], count = Math.min(Math.abs(n), this.cols - this.x);
      for (const [row, fill] of [[l.text, " "], [l.style, plain]]) {
        if (n > 0) { row.splice(this.x, 0, ...Array(count).fill(fill)); row.length = this.cols; }
        else { row.splice(this.x, count); while (row.length < this.cols) row.push(fill); }
      }
      this.touch(this.y);
    }

    put(ch) {
      if (deceptive.test(ch) && ch !== "\u200d") ch = "\ufffd";
      if (combining.test(ch)) {
        const x = this.wrapping ? this.x : this.x - 1, row = this.lines[this.y].text;
        if (x >= 0 && row[x] !== "" && row[x].length < most.marks) { row[x] += ch; this.touch(this.y); }
        return;
      }
      if (this.framed && frames[ch]) ch = frames[ch];
      const width = wide.test(ch) && this.cols > 1 ? 2 : 1;
      if (this.wrap && (this.wrapping || this.x + width > this.cols)) { this.x = 0; this.feedLine(); }
      this.x = Math.min(this.x, this.cols - width);
      const l = this.lines[this.y];
      l.text[this.x] = ch;
      l.style[this.x] = this.style;
      if (width === 2) { l.text[this.x + 1] = ""; l.style[this.x + 1] = this.style; }
      this.touch(this.y);
      if (this.x + width >= this.cols) { this.x = this.cols - 1; this.wrapping = true; } else { this.x += width; this.wrapping = false; }
    }

    // draw puts what changed into a <pre>, as text and spans with classes.
    draw(pre) {
      while (pre.childElementCount > this.rows) pre.lastElementChild.remove();
      while (pre.childElementCount < this.rows) { pre.append(document.createElement("span")); this.all(); }
      for (const y of this.dirty) if (y < this.rows) pre.children[y].replaceChildren(...this.runs(y));
      this.dirty.clear();
    }

    runs(y) {
      const l = this.lines[y], out = [];
      let text = "", style = -1;
      const end = () => {
        if (text === "") return;
        const names = classes(style);
        if (!names) { out.push(text); return; }
        const span = document.createElement("span");
        span.className = names;
        span.textContent = text;
        out.push(span);
      };
      for (let x = 0; x < this.cols; x++) {
        let s = l.style[x];
        if (this.cursor && y === this.y && x === this.x) s |= 1 << 20;
        if (s !== style) { end(); text = ""; style = s; }
        text += l.text[x];
      }
      end();
      return out;
    }

    // text is what the screen says.
    text() { return this.lines.map((l) => l.text.join("").trimEnd()).join("\n").trimEnd(); }
  }

  function classes(s) {
    let fg = s & 31, bg = s >> 5 & 31;
    if (s & inverse) { [fg, bg] = [bg === 16 ? 17 : bg, fg === 16 ? 18 : fg]; }
    if (fg === bg && fg !== 16) fg = bg === 0 || bg === 8 ? 15 : 0; // a colour on itself would hide text
    const out = [];
    if (fg !== 16) out.push("tf" + fg);
    if (bg !== 16) out.push("tb" + bg);
    if (s & bold) out.push("t-bold");
    if (s & dim) out.push("t-dim");
    if (s & italic) out.push("t-italic");
    if (s & underline) out.push("t-under");
    if (s & struck) out.push("t-struck");
    if (s & 1 << 20) out.push("t-cursor");
    return out.join(" ");
  }

  window.DemarcTerminal = Terminal;
})();
