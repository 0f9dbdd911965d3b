// The ranking as a table to look around in: filter, columns, sort, export. All of it follows the view.
function setUpTable(table, data, view, axes) {
  const controls = document.querySelector("[data-explorer]");
  const part = (name) => controls.querySelector(`[data-${name}]`);
  const heads = Array.from(table.tHead.rows[0].cells);
  const keys = heads.map((head) => head.dataset.key);
  const allRows = Array.from(table.tBodies).flatMap((body) => Array.from(body.rows));
  const isNarrow = matchMedia("(max-width: 40rem)").matches;
  const firstColumns = keys.filter((_, place) => {
    const { optional, narrow } = heads[place].dataset;
    return isNarrow ? narrow !== undefined : optional === undefined;
  });
  const boxes = columnBoxes(part("columns"), heads, () => {
    const chosen = boxes.filter((box) => box.checked).map((box) => box.value);
    view.set({ cols: chosen.join() === firstColumns.join() ? "" : chosen.join() });
  });

  function shownColumns() {
    const chosen = view.get("cols") ? view.get("cols").split(",") : firstColumns;
    return keys.filter((key, place) => heads[place].tagName === "TH" && (key === "row" || chosen.includes(key)));
  }

  const rowOf = (line) => data.rows[Number(line.dataset.row)];
  const visibleLines = () => Array.from(table.tBodies).flatMap((body) => Array.from(body.rows)).filter((line) => !line.hidden);

  function apply() {
    for (const line of allRows) line.hidden = !isShown(rowOf(line), view, axes);
    const columns = shownColumns();
    for (const line of [table.tHead.rows[0], ...allRows]) {
      Array.from(line.cells).forEach((cell, place) => { cell.hidden = !columns.includes(keys[place]); });
    }
    for (const box of boxes) box.checked = columns.includes(box.value);
    const trained = data.rows.filter((row) => !row.is_baseline);
    const count = trained.filter((row) => isShown(row, view, axes)).length;
    const folded = keys.length - columns.length;
    part("count").textContent = `${count} of ${trained.length} rows` + (folded ? `, ${folded} columns folded` : "");
    part("filter").value = view.get("q");
    part("table").value = view.get("table");
    part("passes").checked = view.get("pass") !== "";
    const [key, order] = view.get("sort").split(":");
    const place = keys.indexOf(key);
    if (place >= 0) sortTable(table, place, order === "descending" ? order : "ascending");
  }

  // Columns and lines as they stand on the page, in its order.
  function inView() {
    const places = keys.map((_, place) => place).filter((place) => !heads[place].hidden);
    const text = (cell) => (cell.dataset.text ?? cell.textContent).trim().replace(/\s+/g, " ");
    return {
      heads: places.map((place) => heads[place].dataset.heading),
      isNumeric: places.map((place) => heads[place].classList.contains("num")),
      lines: visibleLines().map((line) => places.map((place) => text(line.cells[place]))),
    };
  }

  const records = () => visibleLines().map((line) => data.lines[Number(line.dataset.row)]);
  const copy = async (text, button) => {
    const label = button.textContent;
    button.textContent = (await copyText(text, part("output"))) ? "Copied" : "Copy it from the box";
    setTimeout(() => { button.textContent = label; }, 2000);
  };
  const onClick = (name, action) => part(name).addEventListener("click", (event) => action(event.currentTarget));
  onClick("csv", () => download(`${data.experiment}.csv`, "text/csv", asCsv(data.columns, records())));
  onClick("json", () => download(`${data.experiment}.json`, "application/json", asJson(data.columns, records())));
  onClick("markdown", (button) => { const { heads, lines, isNumeric } = inView(); copy(asMarkdown(heads, lines, isNumeric), button); });
  onClick("latex", (button) => { const { heads, lines, isNumeric } = inView(); copy(asLatex(heads, lines, isNumeric, data.latex), button); });
  onClick("link", (button) => copy(location.href, button));
  onClick("reset", () => { part("output").hidden = true; view.reset(); });
  part("filter").addEventListener("input", (event) => view.set({ q: event.target.value }));
  part("table").addEventListener("change", (event) => view.set({ table: event.target.value }));
  part("passes").addEventListener("change", (event) => view.set({ pass: event.target.checked ? "1" : "" }));
  table.addEventListener("sorted", ({ detail }) => view.set({ sort: `${keys[detail.index]}:${detail.order}` }));
  controls.hidden = false;
  view.onChange(apply);
  apply();
}

// A check box for each column but that of the names.
function columnBoxes(place, heads, onChange) {
  return heads.filter((head) => head.dataset.key !== "row").map((head) => {
    const label = document.createElement("label");
    const box = Object.assign(document.createElement("input"), { type: "checkbox", value: head.dataset.key });
    box.addEventListener("change", onChange);
    label.append(box, ` ${head.dataset.heading}`);
    place.append(label);
    return box;
  });
}
