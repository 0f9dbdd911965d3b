// The comparer: two to four versions of a test image side by side, with one zoom and one place for all of them.
// Images of the page are drawn from it; others come from the run folder beside the page, where pixels cannot be read.
const COMPARER_KEYS = { f: "flicker", d: "difference", s: "spots", "+": "closer", "-": "farther", ArrowLeft: "previous", ArrowRight: "next" };
const SPOT_LEVELS = 30; // a pixel belongs to a spot where a channel changes by more

function setUpComparer(figure, data, view) {
  const part = (name) => figure.querySelector(`[data-${name}]`);
  const panes = Array.from(figure.querySelectorAll("[data-pane]"));
  const labels = Object.keys(data.pictures.folders);
  const names = data.pictures.names;
  const place = { zoom: 1, x: 0.5, y: 0.5 }; // the middle of the view, as shares of the image
  let versions = []; // of each pane: {label, image, isExact}
  const pixels = new WeakMap();
  let drawing = 0;

  const inlined = (name, label) => Array.from(document.querySelectorAll(".layers img"))
    .find((image) => image.dataset.image === name && image.dataset.version === label);
  const currentName = () => (names.includes(view.get("image")) ? view.get("image") : names[0]);
  const chosenLabels = () => {
    const usual = ["degraded", labels.includes("base") ? "base" : labels[2], "target"].filter((label) => labels.includes(label));
    const chosen = view.get("versions").split("|").filter((label) => labels.includes(label));
    return (chosen.length >= 2 ? chosen : usual).slice(0, panes.length);
  };

  function load(name, label) {
    const own = inlined(name, label);
    const image = new Image();
    image.src = own ? own.src : `${data.pictures.folders[label]}/${name.split("/").map(encodeURIComponent).join("/")}.png`;
    return image.decode().then(() => ({ label, image, isExact: Boolean(own) }), () => ({ label, image: null, isExact: false }));
  }

  async function apply() {
    const mine = (drawing += 1);
    const [name, shown] = [currentName(), chosenLabels()];
    part("image").value = name;
    panes.forEach((pane, index) => {
      pane.hidden = index >= shown.length;
      pane.querySelector("select").value = shown[index] ?? "";
    });
    part("panes").value = shown.length;
    const loaded = await Promise.all(["degraded", "target", ...shown].map((label) => load(name, label)));
    if (mine !== drawing) return; // the reader has gone on meanwhile
    versions = loaded.slice(2);
    versions.pairs = loaded.slice(0, 2);
    tell(name);
    draw();
  }

  function tell(name) {
    const missing = versions.filter((version) => !version.image).map((version) => version.label);
    const outside = versions.some((version) => version.image && !version.isExact);
    part("status").textContent = `${name}, ${names.indexOf(name) + 1} of ${names.length}.` +
      (missing.length ? ` Not beside this page: ${missing.join(", ")}.` : "") +
      (outside ? " From the run folder: no pixel values, no outlines." : "");
  }

  // The part of an image that a canvas shows, in pixels of the image.
  function windowOf(image) {
    const [width, height] = [image.naturalWidth / place.zoom, image.naturalHeight / place.zoom];
    const clamp = (middle, size, whole) => Math.min(Math.max(middle * whole - size / 2, 0), whole - size);
    return [clamp(place.x, width, image.naturalWidth), clamp(place.y, height, image.naturalHeight), width, height];
  }

  function draw() {
    const target = versions.pairs[1].image;
    versions.forEach((version, index) => {
      const canvas = panes[index].querySelector("canvas");
      const context = canvas.getContext("2d");
      const image = version.image;
      canvas.setAttribute("aria-label", `${currentName()}, ${version.label}`);
      if (!image) { context.clearRect(0, 0, canvas.width, canvas.height); return; }
      canvas.width = 512;
      canvas.height = Math.round((512 * image.naturalHeight) / image.naturalWidth);
      context.imageSmoothingEnabled = place.zoom * 512 < 2 * image.naturalWidth;
      const from = windowOf(image), whole = [0, 0, canvas.width, canvas.height];
      context.drawImage(image, ...from, ...whole);
      const isDifference = part("difference").checked && target && version.label !== "target";
      if (isDifference) {
        context.globalCompositeOperation = "difference";
        context.drawImage(target, ...windowOf(target), ...whole);
        context.globalCompositeOperation = "source-over";
      }
      canvas.style.filter = isDifference ? "brightness(8)" : "";
      if (part("spots").checked && !isDifference) outlineSpots(context, version, from);
    });
    part("zoom").value = place.zoom;
  }

  function pixelsOf({ image, isExact }) {
    if (!image || !isExact) return null;
    if (pixels.has(image)) return pixels.get(image);
    const canvas = Object.assign(document.createElement("canvas"), { width: image.naturalWidth, height: image.naturalHeight });
    const context = canvas.getContext("2d", { willReadFrequently: true });
    context.drawImage(image, 0, 0);
    pixels.set(image, context.getImageData(0, 0, canvas.width, canvas.height));
    return pixels.get(image);
  }

  function outlineSpots(context, version, [left, top, width, height]) {
    const [degraded, target] = versions.pairs.map(pixelsOf);
    if (!degraded || !target || !version.isExact || degraded.width !== target.width) return;
    const isSpot = (x, y) => {
      const at = 4 * (y * target.width + x);
      return [0, 1, 2].some((channel) => Math.abs(degraded.data[at + channel] - target.data[at + channel]) > SPOT_LEVELS);
    };
    const [across, down] = [context.canvas.width / width, context.canvas.height / height];
    context.strokeStyle = "#ff4040";
    context.lineWidth = 1.5;
    context.beginPath();
    for (let y = Math.floor(top); y < top + height && y < target.height; y += 1) {
      for (let x = Math.floor(left); x < left + width && x < target.width; x += 1) {
        if (!isSpot(x, y)) continue;
        const [px, py] = [(x - left) * across, (y - top) * down];
        if (x === 0 || !isSpot(x - 1, y)) { context.moveTo(px, py); context.lineTo(px, py + down); }
        if (x === target.width - 1 || !isSpot(x + 1, y)) { context.moveTo(px + across, py); context.lineTo(px + across, py + down); }
        if (y === 0 || !isSpot(x, y - 1)) { context.moveTo(px, py); context.lineTo(px + across, py); }
        if (y === target.height - 1 || !isSpot(x, y + 1)) { context.moveTo(px, py + down); context.lineTo(px + across, py + down); }
      }
    }
    context.stroke();
  }

  // The loupe: the pixel under the pointer in every pane, with its RGB values.
  function loupe(event, canvas) {
    const box = canvas.getBoundingClientRect();
    const [across, down] = [(event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height];
    const lines = versions.map((version) => {
      const read = pixelsOf(version);
      if (!read) return `${version.label}: –`;
      const [left, top, width, height] = windowOf(version.image);
      const [x, y] = [Math.floor(left + across * width), Math.floor(top + down * height)];
      const at = 4 * (Math.min(y, read.height - 1) * read.width + Math.min(x, read.width - 1));
      return `${version.label} (${x}, ${y}): ${Array.from(read.data.slice(at, at + 3)).join(" ")}`;
    });
    part("loupe").textContent = lines.join("\n");
    part("loupe").hidden = false;
  }

  const actions = {
    flicker: () => { const shown = chosenLabels(); view.set({ versions: [shown[1], shown[0], ...shown.slice(2)].join("|") }); },
    difference: () => { part("difference").click(); },
    spots: () => { part("spots").click(); },
    closer: () => zoomTo(place.zoom * 1.5),
    farther: () => zoomTo(place.zoom / 1.5),
    previous: () => step(-1),
    next: () => step(1),
  };
  const step = (by) => view.set({ image: names[(names.indexOf(currentName()) + by + names.length) % names.length] });
  function zoomTo(zoom) {
    place.zoom = Math.min(32, Math.max(1, zoom));
    draw();
  }

  for (const name of names) part("image").append(new Option(name));
  panes.forEach((pane) => {
    const select = pane.querySelector("select");
    for (const label of labels) select.append(new Option(label));
    select.addEventListener("change", () => view.set({ versions: panes.filter((one) => !one.hidden).map((one) => one.querySelector("select").value).join("|") }));
    const canvas = pane.querySelector("canvas");
    let last = null;
    canvas.addEventListener("pointerdown", (event) => { last = event; canvas.setPointerCapture(event.pointerId); });
    canvas.addEventListener("pointerup", () => { last = null; });
    canvas.addEventListener("pointermove", (event) => {
      loupe(event, canvas);
      if (!last) return;
      place.x = Math.min(1, Math.max(0, place.x - (event.clientX - last.clientX) / canvas.clientWidth / place.zoom));
      place.y = Math.min(1, Math.max(0, place.y - (event.clientY - last.clientY) / canvas.clientHeight / place.zoom));
      last = event;
      draw();
    });
    canvas.addEventListener("wheel", (event) => {
      if (!event.ctrlKey && place.zoom === 1 && event.deltaY > 0) return; // the page scrolls on
      event.preventDefault();
      zoomTo(place.zoom * (event.deltaY < 0 ? 1.25 : 0.8));
    }, { passive: false });
  });
  part("image").addEventListener("change", (event) => view.set({ image: event.target.value }));
  part("panes").addEventListener("change", (event) => {
    const shown = chosenLabels();
    const more = labels.filter((label) => !shown.includes(label));
    view.set({ versions: [...shown, ...more].slice(0, Number(event.target.value)).join("|") });
  });
  part("zoom").addEventListener("input", (event) => zoomTo(Number(event.target.value)));
  for (const name of ["difference", "spots"]) part(name).addEventListener("change", draw);
  for (const name of ["previous", "next", "flicker"]) part(name).addEventListener("click", actions[name]);
  figure.addEventListener("keydown", (event) => {
    if (event.target.matches("select, input[type=range]") || event.ctrlKey || event.metaKey || event.altKey) return;
    const action = COMPARER_KEYS[event.key];
    if (!action) return;
    event.preventDefault();
    actions[action]();
  });
  figure.hidden = false;
  let before = null;
  view.onChange(() => {
    const now = `${view.get("image")}#${view.get("versions")}`;
    if (now !== before) apply();
    before = now;
  });
  apply();
}

// Thumbnails in the table of test images, and a button that opens each in the comparer.
function setUpGallery(table, figure, data, view) {
  for (const line of table.tBodies[0].rows) {
    const head = line.cells[0], name = head.dataset.value;
    const button = Object.assign(document.createElement("button"), { type: "button", className: "thumbnail", title: "Open in the comparer" });
    const picture = data.pictures.thumbnails[name];
    if (picture) button.append(Object.assign(new Image(), { src: picture, alt: "", loading: "lazy" }));
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => {
      view.set({ image: name });
      figure.scrollIntoView();
      figure.querySelector("[data-stage]").focus({ preventScroll: true });
    });
  }
}
