// The view of a reader: filters, columns, axes, opened row. It lives in the address (`#view?...`), so it can be sent.
const VIEW = "#view?";

class View {
  constructor() {
    this.listeners = [];
    this.values = new Map();
    this.read();
    addEventListener("hashchange", () => {
      if (!location.hash.startsWith(VIEW)) return; // an anchor of the page: the view stays
      this.read();
      this.notify();
    });
  }

  read() {
    const text = location.hash.startsWith(VIEW) ? location.hash.slice(VIEW.length) : "";
    this.values = new Map(new URLSearchParams(text));
  }

  get(key) {
    return this.values.get(key) ?? "";
  }

  // Changes some entries; an empty one is taken out, so that the address of the first view is that of the page.
  set(changes) {
    for (const [key, value] of Object.entries(changes)) {
      if (value === "") this.values.delete(key);
      else this.values.set(key, value);
    }
    history.replaceState(null, "", this.address());
    this.notify();
  }

  reset() {
    this.values.clear();
    this.set({});
  }

  address() {
    const text = new URLSearchParams([...this.values]).toString();
    return text ? VIEW + text : location.pathname + location.search;
  }

  onChange(listener) {
    this.listeners.push(listener);
  }

  notify() {
    for (const listener of this.listeners) listener();
  }
}

// Entries such as `latency_ms:50;weight_bytes_float32:3e6`, as numbers by name.
function parseLimits(text) {
  const pairs = text.split(";").map((part) => part.split(":"));
  return new Map(pairs.filter(([key, value]) => key && value !== undefined).map(([key, value]) => [key, Number(value)]));
}

// A brushed box: two axes, each with its two ends.
function parseBox(text) {
  const ends = text.split(",").map(Number);
  return ends.length === 4 && ends.every(Number.isFinite) ? ends : null;
}

// The rows that the reader wants to see: by name, table, limits, sliders and brush. Baselines answer to the name alone.
function isShown(row, view, axes) {
  const words = view.get("q").toLowerCase().split(/\s+/).filter(Boolean);
  if (!words.every((word) => row.name.toLowerCase().includes(word))) return false;
  if (row.is_baseline) return true;
  if (view.get("table") && !row.tables.includes(view.get("table"))) return false;
  if (view.get("pass") && !row.passes) return false;
  for (const [key, limit] of parseLimits(view.get("max"))) {
    const value = row.values[key];
    if (value !== undefined && value > limit) return false;
  }
  const box = parseBox(view.get("box"));
  if (!box) return true;
  const [x, y] = [row.values[axes.x.key], row.values[axes.y.key]];
  return x >= box[0] && x <= box[1] && y >= box[2] && y <= box[3];
}
