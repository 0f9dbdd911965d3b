// One bar for each test image, least gain first, as in the table of test images; a bar opens its image in the comparer.
// The buttons of the table do the same for the keyboard, so the bars are for the pointer alone.
const BARS = { width: 820, height: 130, margin: 16 };

function setUpBars(place, table, data, view) {
  const gainAt = table.tHead.rows[0].cells.length - 1;
  const gains = Array.from(table.tBodies[0].rows, (line) => [line.cells[0].dataset.value, line.cells[gainAt].dataset.value])
    .filter(([, value]) => value !== "").map(([name, value]) => ({ name, gain: Number(value) })).sort((a, b) => a.gain - b.gain);
  if (!gains.length) return;
  const [low, high] = [Math.min(0, gains[0].gain), Math.max(0, gains.at(-1).gain)];
  const y = (gain) => BARS.margin + (BARS.height - 2 * BARS.margin) * (1 - (gain - low) / (high - low || 1));
  const width = BARS.width / gains.length;
  const unit = table.tHead.rows[0].cells[gainAt].querySelector(".unit")?.textContent.trim() ?? "";
  const inUnits = (gain) => `${gain > 0 ? "+" : ""}${gain.toFixed(2).replace("-", "−")} ${unit}`.trim();
  const svg = svgElement("svg", { viewBox: `0 0 ${BARS.width} ${BARS.height}`, "aria-hidden": "true", class: "bars" });
  const bars = gains.map(({ name, gain }, index) => {
    const bar = svgElement("g", { class: gain < 0 ? "worse" : "better" });
    bar.append(svgElement("title", {}, `${name}: ${inUnits(gain)}`));
    bar.append(svgElement("rect", { class: "reach", x: index * width, y: 0, width, height: BARS.height }));
    bar.append(svgElement("rect", { x: index * width + 0.1 * width, y: Math.min(y(0), y(gain)), width: 0.8 * width, height: Math.max(1, Math.abs(y(gain) - y(0))) }));
    bar.addEventListener("click", () => view.set({ image: name }));
    svg.append(bar);
    return [name, bar];
  });
  const [least, most] = [gains[0].gain, gains.at(-1).gain];
  svg.append(svgElement("text", { x: 2, y: least < 0 ? BARS.height - 3 : y(least) - 4 }, inUnits(least)));
  svg.append(svgElement("text", { x: BARS.width - 2, y: most > 0 ? 12 : y(0) - 4, "text-anchor": "end" }, inUnits(most)));
  svg.append(svgElement("line", { class: "zero", x1: 0, x2: BARS.width, y1: y(0), y2: y(0) }));
  const apply = () => { for (const [name, bar] of bars) bar.classList.toggle("chosen", name === (view.get("image") || data.pictures.names[0])); };
  const worse = gains.filter(({ gain }) => gain < 0).length;
  const reading = document.createElement("p");
  reading.className = "note";
  reading.textContent = `Reading: each bar is the gain of a test image over doing nothing, least first; ${worse} of ${gains.length} are worse than doing nothing. Press a bar to open its image.`;
  place.append(svg, reading);
  view.onChange(apply);
  apply();
}
