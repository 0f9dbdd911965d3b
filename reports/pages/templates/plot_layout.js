// Geometry of the plot: scales, ticks, which rows no other beats, places of labels. Pure functions, in px of the SVG.
const PLOT = { width: 820, height: 460, left: 64, right: 806, top: 22, bottom: 402 };
const LOG_BEYOND = 20; // an axis of costs is logarithmic where they differ by more than this factor

// Values outside the fences are drawn at the edge: one odd row does not squeeze the rest.
function fences(values) {
  const sorted = [...values].sort((a, b) => a - b);
  const at = (share) => sorted[Math.round(share * (sorted.length - 1))];
  const reach = 4 * (at(0.75) - at(0.25));
  return sorted.length < 5 || !reach ? [sorted[0], sorted.at(-1)] : [at(0.25) - reach, at(0.75) + reach];
}

// `isCost`: starts at 0, or logarithmic; otherwise around the values that lie between the fences. `ends` of whiskers are
// inside, as far as they do not squeeze the values into less than a third.
function makeScale(values, isCost, start, end, nearby = [], ends = []) {
  let [low, high] = [Math.min(...values), Math.max(...values)];
  const isLog = isCost && low > 0 && high > LOG_BEYOND * low;
  if (isLog) [low, high] = [low / 1.6, high * 2.2];
  else if (isCost) [low, high] = [0, high * 1.25 || 1];
  else {
    const [lowest, highest] = fences(values);
    [low, high] = [Math.max(low, lowest), Math.min(high, highest)];
    const height = Math.max(high - low, 1e-3 * Math.max(Math.abs(high), 1e-6));
    const near = nearby.filter((value) => value >= low - 1.2 * height && value <= high + 1.2 * height);
    near.push(...ends.map((value) => Math.min(high + height, Math.max(low - height, value))));
    [low, high] = [Math.min(low, ...near) - 0.2 * height, Math.max(high, ...near) + 0.2 * height];
  }
  if (isCost) for (const value of nearby) if (value > high && value < 2.5 * high) high = 1.08 * value;
  const along = (value) => (isLog ? Math.log10(value) : value);
  const share = (value) => (along(value) - along(low)) / (along(high) - along(low));
  return {
    low, high, isLog,
    at: (value) => start + Math.min(1, Math.max(0, share(value))) * (end - start),
    value: (px) => {
      const place = along(low) + ((px - start) / (end - start)) * (along(high) - along(low));
      return isLog ? 10 ** place : place;
    },
    holds: (value) => value >= low && value <= high,
  };
}

function ticksOf({ low, high, isLog }) {
  const ticks = [];
  if (isLog) {
    for (let power = Math.floor(Math.log10(low)); power <= Math.log10(high); power += 1) {
      for (const factor of [1, 2, 5]) ticks.push(factor * 10 ** power);
    }
  } else {
    const rough = (high - low) / 6;
    const power = 10 ** Math.floor(Math.log10(rough));
    const step = [1, 2, 2.5, 5, 10].map((factor) => factor * power).find((size) => size >= rough);
    for (let tick = Math.ceil(low / step) * step; tick <= high; tick += step) ticks.push(tick);
  }
  return ticks.filter((tick) => tick >= low && tick <= high).map((tick) => Number(tick.toPrecision(10)));
}

// How bad a value of a metric is: the smaller, the better.
function badness(axis, value) {
  if (axis.direction === "near 1") return Math.abs(value - 1);
  return axis.direction === "lower" ? value : -value;
}

// The points that no other point beats in both, cheapest first.
function frontOf(points, yAxis) {
  const order = [...points].sort((a, b) => a.xValue - b.xValue || badness(yAxis, a.yValue) - badness(yAxis, b.yValue));
  let best = Infinity;
  return order.filter((point) => {
    const own = badness(yAxis, point.yValue);
    if (own >= best) return false;
    best = own;
    return true;
  });
}

const LABEL_PLACES = [
  [1, 0, 4, "start"], [-1, 0, 4, "end"], [0, -1, 0, "middle"], [0, 1, 9, "middle"],
  [0.72, -0.72, 0, "start"], [0.72, 0.72, 9, "start"], [-0.72, -0.72, 0, "end"], [-0.72, 0.72, 9, "end"],
];
const LETTER_WIDTH = 6.8; // px, estimated generously
const ANCHOR_SHARE = { start: 0, middle: 0.5, end: 1 };

// The box of a text that stands in the plot already.
function boxOfText(text) {
  const width = LETTER_WIDTH * text.textContent.length, y = Number(text.getAttribute("y"));
  const left = Number(text.getAttribute("x")) - ANCHOR_SHARE[text.getAttribute("text-anchor") ?? "start"] * width;
  return [left, y - 12, left + width, y + 3];
}

function overlap(a, b) {
  const width = Math.min(a[2], b[2]) - Math.max(a[0], b[0]);
  const height = Math.min(a[3], b[3]) - Math.max(a[1], b[1]);
  return Math.max(width, 0) * Math.max(height, 0);
}

// Places for the names of points, in their order: beside the marker, away from all others. A name without a free place
// within reach is left out; the card of its marker has it.
function labelsOf(points, texts) {
  const taken = [...texts, ...points.map(({ x, y, radius }) => [x - radius, y - radius, x + radius, y + radius])];
  const labels = new Map();
  for (const point of points) {
    const width = LETTER_WIDTH * point.row.name.length;
    const free = [5, 14, 24, 36].flatMap((gap) => LABEL_PLACES.map(([across, down, lower, anchor]) => {
      const x = point.x + across * (point.radius + gap);
      const y = point.y + down * (point.radius + gap) + lower;
      const left = x - ANCHOR_SHARE[anchor] * width;
      return { x, y, anchor, isFar: gap >= 24, box: [left, y - 12, left + width, y + 3] };
    })).find(({ box }) => box[0] >= PLOT.left && box[2] <= PLOT.width && box[1] >= 0 && box[3] <= PLOT.bottom
      && taken.every((other) => overlap(box, other) === 0));
    if (!free) continue;
    taken.push(free.box);
    labels.set(point.row, free);
  }
  return labels;
}

// A number with about three significant digits; a metric has decimals of its own.
function shownValue(axis, value) {
  if (axis.decimals !== undefined) return value.toFixed(axis.decimals).replace("-", "−");
  const size = Math.abs(value);
  const digits = size >= 100 ? 0 : size >= 10 ? 1 : size >= 1 ? 2 : 3;
  return value.toLocaleString("en", { minimumFractionDigits: digits, maximumFractionDigits: digits }).replace("-", "−");
}

const withUnit = (axis, text) => (axis.unit ? `${text} ${axis.unit}` : text);
