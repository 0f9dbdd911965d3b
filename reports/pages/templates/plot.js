// The plot of quality against cost: axes to choose, whiskers, front, limits, cards, brush. It redraws with each view.
// The parser knows the namespace; its name, an address, stands in no page.
const SVG_NAMESPACE = document.createRange().createContextualFragment("<svg></svg>").firstChild.namespaceURI;

function svgElement(name, attributes = {}, text = "") {
  const element = document.createElementNS(SVG_NAMESPACE, name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  if (text) element.textContent = text;
  return element;
}

function setUpPlot(figure, data, view, axes) {
  const svg = svgElement("svg", { viewBox: `0 0 ${PLOT.width} ${PLOT.height}`, role: "group" });
  const stage = figure.querySelector(".scroll");
  const card = figure.querySelector("[data-card]");
  const part = (name) => figure.querySelector(`[data-${name}]`);
  let scales = null;
  stage.replaceChildren(svg);
  stage.hidden = false;

  const keys = part("keys") ?? figure.insertBefore(document.createElement("p"), stage.nextSibling);
  keys.replaceChildren(...["base", ...data.tables].flatMap((table, colour) => {
    const key = Object.assign(document.createElement("span"), { className: "key" });
    const dot = Object.assign(document.createElement("span"), { className: `dot colour-${colour % 6}`, ariaHidden: "true" });
    key.append(dot, table);
    return [key, " "];
  }));

  for (const [side, kind] of [["x", "cost"], ["y", "quality"]]) {
    for (const axis of data.axes.filter((one) => one.kind === kind)) {
      part(side).append(new Option(axis.unit ? `${axis.label}, ${axis.unit}` : axis.label, axis.key));
    }
    part(side).addEventListener("change", (event) => view.set({ [side]: event.target.value, box: "" }));
  }
  part("unbrush").addEventListener("click", () => view.set({ box: "" }));

  function facts(row) {
    const parts = data.axes.filter((axis) => axis === axes.y || axis.kind === "cost").filter((axis) => axis.key in row.values)
      .map((axis) => `${withUnit(axis, shownValue(axis, row.values[axis.key]))} ${axis.label}`);
    return `${row.name}: ${parts.join(", ")}${row.passes ? "" : ", fails a gate"}`;
  }

  function points() {
    return data.rows.filter((row) => !row.is_baseline && !row.is_weighed_only && axes.x.key in row.values && axes.y.key in row.values)
      .map((row) => ({ row, xValue: row.values[axes.x.key], yValue: row.values[axes.y.key], isAway: !isShown(row, view, axes) }));
  }

  function draw() {
    const all = points();
    card.hidden = true;
    [part("x").value, part("y").value] = [axes.x.key, axes.y.key];
    part("unbrush").hidden = !parseBox(view.get("box"));
    svg.replaceChildren();
    svg.setAttribute("aria-label", `${axes.y.label} against ${axes.x.label}; every marker is a link to its row in the ranking`);
    if (!all.length) {
      svg.append(svgElement("text", { x: PLOT.width / 2, y: PLOT.height / 2, "text-anchor": "middle" }, "No row has both values."));
      return;
    }
    const levels = data.rows.filter((row) => row.is_baseline && axes.y.key in row.values);
    const largest = Math.max(...all.map(({ row }) => row.values.file_mb ?? 0));
    scales = {
      x: makeScale(all.map((point) => point.xValue), true, PLOT.left, PLOT.right, axes.x.limits.map((limit) => limit.at)),
      y: makeScale(all.map((point) => point.yValue), false, PLOT.bottom, PLOT.top, levels.map((row) => row.values[axes.y.key]),
        all.flatMap(({ row }) => row.whiskers[axes.y.key] ?? [])),
    };
    for (const point of all) {
      [point.x, point.y] = [scales.x.at(point.xValue), scales.y.at(point.yValue)];
      point.radius = Math.max(4.5, (all.length > 12 ? 7 : 10) * Math.sqrt(largest ? (point.row.values.file_mb ?? 0) / largest : 0.25));
      point.isBeyond = !scales.y.holds(point.yValue);
    }
    drawFrame(levels);
    const shown = all.filter((point) => !point.isAway);
    const front = frontOf(shown.filter((point) => point.row.passes), axes.y);
    drawFront(front);
    for (const point of all) drawWhiskers(point);
    const first = [...front, ...shown.filter((point) => point.row.is_base && !front.includes(point))];
    const texts = Array.from(svg.querySelectorAll(".limit-label, .baseline + .tick"), boxOfText);
    const labels = labelsOf([...first, ...shown.filter((point) => !first.includes(point))], texts);
    for (const point of [...all].sort((a, b) => b.radius - a.radius)) svg.append(marker(point, labels.get(point.row)));
    tellReading(all, shown, front, levels);
  }

  function drawFrame(levels) {
    const { left, right, top, bottom } = PLOT;
    const add = (...content) => svg.append(svgElement(...content));
    for (const tick of ticksOf(scales.x)) {
      const x = scales.x.at(tick);
      add("line", { class: "grid", x1: x, x2: x, y1: top, y2: bottom });
      add("text", { class: "tick", x, y: bottom + 17, "text-anchor": "middle" }, String(tick));
    }
    for (const tick of ticksOf(scales.y)) {
      const y = scales.y.at(tick);
      add("line", { class: "grid", x1: left, x2: right, y1: y, y2: y });
      add("text", { class: "tick", x: left - 8, y: y + 4, "text-anchor": "end" }, String(tick).replace("-", "−"));
    }
    levels.filter((row) => scales.y.holds(row.values[axes.y.key])).forEach((row, place) => {
      const value = row.values[axes.y.key], y = scales.y.at(value);
      add("line", { class: "baseline", x1: left, x2: right, y1: y, y2: y });
      add("text", { class: "tick", x: left + 6 + 130 * place, y: y - 4 }, `${row.name} ${shownValue(axes.y, value)}`);
    });
    for (const limit of axes.x.limits.filter(({ at }) => scales.x.holds(at))) {
      const x = scales.x.at(limit.at);
      add("line", { class: "limit", x1: x, x2: x, y1: top, y2: bottom });
      add("text", { class: "limit-label", x: x - 5, y: top + 12, "text-anchor": "end" }, `${limit.name}: at most ${withUnit(axes.x, String(limit.at))}`);
    }
    const direction = { higher: "more is better", lower: "less is better", "near 1": "best at 1" };
    const title = (axis) => `${withUnit(axis, `${axis.label}${axis.unit ? "," : ""}`)} (${direction[axis.direction]})`;
    add("text", { class: "axis", x: (left + right) / 2, y: bottom + 40, "text-anchor": "middle" }, title(axes.x));
    add("text", { class: "axis", x: 4, y: top - 8 }, title(axes.y));
    const plane = svgElement("rect", { class: "plane", x: left, y: top, width: right - left, height: bottom - top });
    svg.append(plane);
    const box = parseBox(view.get("box"));
    if (box) {
      const [x0, x1, y1, y0] = [...box.slice(0, 2).map(scales.x.at), ...box.slice(2).map(scales.y.at)];
      add("rect", { class: "brush", x: x0, y: y0, width: x1 - x0, height: y1 - y0 });
    }
    brushOn(plane);
  }

  function drawFront(front) {
    if (front.length < 2) return;
    const steps = front.map(({ x, y }, place) => (place ? `H${x}V${y}` : `M${x} ${y}`)).join("");
    svg.append(svgElement("path", { class: "front", d: steps }));
  }

  function drawWhiskers({ row, x, y, isAway, isBeyond }) {
    if (isAway || isBeyond) return;
    const ends = row.whiskers[axes.y.key];
    if (ends) svg.append(svgElement("line", { class: "whisker", x1: x, x2: x, y1: scales.y.at(ends[0]), y2: scales.y.at(ends[1]) }));
    const sides = row.whiskers[axes.x.key];
    if (sides) svg.append(svgElement("line", { class: "whisker", x1: scales.x.at(sides[0]), x2: scales.x.at(sides[1]), y1: y, y2: y }));
  }

  function marker(point, label) {
    const { row, x, y, radius, isAway, isBeyond } = point;
    const link = svgElement("a", { href: `#${row.anchor}`, "aria-label": facts(row), class: isAway ? "away" : "" });
    const look = `colour-${row.colour % 6}${row.passes ? "" : " fails"}`;
    const up = y > (PLOT.top + PLOT.bottom) / 2 ? 1 : -1; // towards the value beyond the edge
    link.append(isBeyond
      ? svgElement("path", { class: look, d: `M${x - 7} ${y - 10 * up}H${x + 7}L${x} ${y}Z` })
      : svgElement("circle", { class: look, cx: x, cy: y, r: radius }));
    if (label && !isAway) {
      if (label.isFar) link.append(svgElement("line", { class: "leader", x1: x, y1: y, x2: label.x, y2: label.y - 4 }));
      link.append(svgElement("text", { class: "name", x: label.x, y: label.y, "text-anchor": label.anchor }, row.name));
    }
    let isTap = false;
    link.addEventListener("pointerdown", (event) => { isTap = event.pointerType === "touch" && card.hidden; });
    link.addEventListener("click", (event) => { if (isTap) event.preventDefault(); }); // the first tap shows the card
    for (const name of ["pointerenter", "focus", "click"]) link.addEventListener(name, () => showCard(point));
    for (const name of ["pointerleave", "blur"]) link.addEventListener(name, (event) => { if (event.pointerType !== "touch") card.hidden = true; });
    return link;
  }

  function showCard({ row, x, y }) {
    const whisker = row.whiskers[axes.y.key];
    const list = document.createElement("dl");
    const shown = data.axes.filter((axis) => axis.key in row.values && (axis.kind === "cost" || axis === axes.y || axis.key.startsWith("psnr") || axis.key === "harm"));
    const lines = shown.map((axis) => [axis.label, withUnit(axis, shownValue(axis, row.values[axis.key]))]);
    if (whisker) lines.push(["its interval", whisker.map((end) => shownValue(axes.y, end)).join(" to ")]);
    for (const [term, value] of lines) {
      const line = document.createElement("div");
      line.append(Object.assign(document.createElement("dt"), { textContent: term }), Object.assign(document.createElement("dd"), { textContent: value }));
      list.append(line);
    }
    const name = Object.assign(document.createElement("strong"), { textContent: row.name });
    const result = Object.assign(document.createElement("p"), { textContent: row.passes ? "" : "fails a gate" });
    card.replaceChildren(name, result, list);
    card.hidden = false;
    const scale = svg.clientWidth / PLOT.width;
    const space = stage.clientWidth - card.offsetWidth;
    card.style.left = `${Math.max(0, Math.min(space, x * scale - stage.scrollLeft + 16))}px`;
    card.style.top = `${stage.offsetTop + y * scale + 16}px`;
  }

  function brushOn(plane) {
    let start = null, box = null;
    const place = (event) => {
      const { left, top, width } = svg.getBoundingClientRect();
      const scale = PLOT.width / width;
      return [(event.clientX - left) * scale, (event.clientY - top) * scale];
    };
    plane.addEventListener("pointerdown", (event) => {
      if (event.pointerType === "touch") return; // a finger scrolls; it has the sliders
      start = place(event);
      plane.setPointerCapture(event.pointerId);
      box = svgElement("rect", { class: "brush" });
      svg.append(box);
    });
    plane.addEventListener("pointermove", (event) => {
      if (!start) return;
      const [x, y] = place(event);
      const size = { x: Math.min(x, start[0]), y: Math.min(y, start[1]), width: Math.abs(x - start[0]), height: Math.abs(y - start[1]) };
      for (const [key, value] of Object.entries(size)) box.setAttribute(key, value);
    });
    plane.addEventListener("pointerup", (event) => {
      const [from, to] = [start, place(event)];
      start = null;
      if (!from || Math.abs(from[0] - to[0]) < 4 || Math.abs(from[1] - to[1]) < 4) return view.set({ box: "" });
      const ends = [...[from[0], to[0]].sort((a, b) => a - b).map(scales.x.value), ...[from[1], to[1]].sort((a, b) => b - a).map(scales.y.value)];
      return view.set({ box: ends.map((end) => end.toPrecision(6)).join() });
    });
  }

  function tellReading(all, shown, front, levels) {
    const better = { higher: "higher", lower: "lower", "near 1": "nearer to 1" }[axes.y.direction];
    const names = front.map(({ row }) => row.name);
    const sentences = [
      `Reading: further left costs less, ${better} is better; the line joins the rows that no other row in view beats in both` +
        (names.length ? ` (${names.slice(0, 5).join(", ")}${names.length > 5 ? ` and ${names.length - 5} more` : ""}).` : "."),
    ];
    const beyond = all.filter((point) => point.isBeyond).map(({ row, yValue }) => `${row.name} ${shownValue(axes.y, yValue)}`);
    if (beyond.length) sentences.push(`Triangles lie beyond the edge: ${beyond.join(", ")}.`);
    const outside = levels.filter((row) => !scales.y.holds(row.values[axes.y.key])).map((row) => `${row.name} ${shownValue(axes.y, row.values[axes.y.key])}`);
    if (outside.length) sentences.push(`Outside the plot: ${outside.join(", ")}.`);
    const weighed = data.rows.filter((row) => row.is_weighed_only && axes.x.key in row.values)
      .map((row) => `${row.name} ${withUnit(axes.x, shownValue(axes.x, row.values[axes.x.key]))}`);
    if (weighed.length) sentences.push(`Only weighed, hardly trained, and so not drawn: ${weighed.join(", ")}.`);
    const lacking = data.rows.filter((row) => !row.is_baseline && !row.is_weighed_only && !(axes.x.key in row.values && axes.y.key in row.values)).map((row) => row.name);
    if (lacking.length) sentences.push(`Without both values: ${lacking.join(", ")}.`);
    part("reading").textContent = sentences.join(" ");
  }

  figure.querySelector(".controls").hidden = false;
  for (const place of [part("brush-hint"), part("reading")]) place.hidden = false;
  for (const place of figure.querySelectorAll("[data-static]")) place.hidden = true; // it is about the drawn plot alone
  view.onChange(draw);
  draw();
}
