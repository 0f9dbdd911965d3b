// One slider for each cost: rows above it leave table and plot. At its right end it limits nothing.
const SLIDER_STEPS = 100;

function setUpSliders(place, data, view) {
  const trained = data.rows.filter((row) => !row.is_baseline);
  for (const axis of data.axes.filter((one) => one.kind === "cost")) {
    const values = [...new Set(trained.map((row) => row.values[axis.key]).filter((value) => value !== undefined))];
    if (values.length < 2) continue;
    const [low, high] = [Math.min(...values), Math.max(...values)];
    const isLog = low > 0 && high > LOG_BEYOND * low;
    const limitAt = (step) => {
      const share = step / SLIDER_STEPS;
      return Number((isLog ? low * (high / low) ** share : low + (high - low) * share).toPrecision(4));
    };
    const stepOf = (limit) => Math.round(SLIDER_STEPS * (isLog ? Math.log(limit / low) / Math.log(high / low) : (limit - low) / (high - low)));
    const input = Object.assign(document.createElement("input"), { type: "range", min: 0, max: SLIDER_STEPS, value: SLIDER_STEPS });
    const output = document.createElement("output");
    const label = document.createElement("label");
    label.append(`${axis.label} at most `, input, output);
    place.append(label);
    const name = (limit) => (limit === undefined ? "any" : withUnit(axis, shownValue(axis, limit)));
    input.addEventListener("input", () => {
      const limits = parseLimits(view.get("max"));
      if (Number(input.value) === SLIDER_STEPS) limits.delete(axis.key);
      else limits.set(axis.key, limitAt(Number(input.value)));
      view.set({ max: [...limits].map(([key, limit]) => `${key}:${limit}`).join(";") });
    });
    const apply = () => {
      const limit = parseLimits(view.get("max")).get(axis.key);
      if (document.activeElement !== input) input.value = limit === undefined ? SLIDER_STEPS : stepOf(limit);
      output.textContent = name(limit);
      input.setAttribute("aria-valuetext", name(limit));
    };
    view.onChange(apply);
    apply();
  }
}
