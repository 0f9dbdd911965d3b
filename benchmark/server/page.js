// One photo, some rows: each is asked for in turn, and what comes back is shown as before, after, maps and numbers.
"use strict";

const place = (id) => document.getElementById(id);
let photo = null;
const links = [];

function make(tag, properties = {}, ...children) {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...children);
  return element;
}

function bytesOf(text) {
  return Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
}

function pictureLink(text, type = "image/png") {
  links.push(URL.createObjectURL(new Blob([bytesOf(text)], { type })));
  return links.at(-1);
}

function say(message, isBad = false) {
  place("status").textContent = message;
  place("status").classList.toggle("bad", isBad);
}

function choose(file) {
  photo = file ?? null;
  place("chosen").textContent = photo ? `${photo.name}, ${(photo.size / 1e6).toFixed(2)} MB` : "";
  place("restore").disabled = !photo;
}

function compared(result) {
  const before = make("img", { src: pictureLink(result.before), alt: "before" });
  const after = make("img", { src: pictureLink(result.after), alt: "after" });
  const slider = make("input", { type: "range", min: 0, max: 100, value: 50, ariaLabel: "Share of the picture shown as before" });
  slider.addEventListener("input", () => { after.style.clipPath = `inset(0 0 0 ${slider.value}%)`; });
  return [make("div", { className: "compared" }, before, after), make("div", { className: "split" }, "before", slider, "after")];
}

function mapsOf(result) {
  const figures = Object.entries(result.maps).map(([name, picture]) =>
    make("figure", {}, make("img", { src: pictureLink(picture), alt: `map ${name}` }), make("figcaption", { textContent: name })));
  if (!figures.length) return [];
  return [make("details", {}, make("summary", { textContent: "What the network predicts" }), make("div", { className: "maps" }, ...figures))];
}

function show(row, result) {
  const [height, width] = result.size;
  const numbers = [`${width} × ${height} pixels`, `${result.seconds.toFixed(2)} s`, ...result.notes].join("; ");
  const dot = photo.name.lastIndexOf(".");
  const name = dot > 0 ? `${photo.name.slice(0, dot)}_restored${photo.name.slice(dot)}` : `${photo.name}_restored`;
  const download = make("a", { href: pictureLink(result.file, result.type), download: name, textContent: `Download ${name}` });
  place("results").append(make("section", {},
    make("h2", { textContent: row }), make("p", { className: "numbers", textContent: numbers }),
    ...compared(result), make("p", {}, download), ...mapsOf(result)));
}

async function ask(row) {
  const query = new URLSearchParams({ row, name: photo.name, strength: place("strength").value });
  const response = await fetch(`restore?${query}`, { method: "POST", body: photo });
  const result = await response.json();
  if (!response.ok) throw new Error(result.error);
  return result;
}

async function restoreAll(settings) {
  const rows = [...document.querySelectorAll("#rows input:checked")].map((box) => box.value);
  if (!rows.length) return say("Pick at least one network.", true);
  if (photo.size > settings.bytes) return say(`More than ${settings.bytes / 1e6} MB.`, true);
  place("results").replaceChildren();
  links.splice(0).forEach((link) => URL.revokeObjectURL(link));
  place("restore").disabled = true;
  try {
    for (const [index, row] of rows.entries()) {
      say(`${row} is at work (${index + 1} of ${rows.length}) …`);
      show(row, await ask(row));
    }
    say("Done. Nothing is kept on the server.");
  } catch (error) {
    say(error.message, true);
  } finally {
    place("restore").disabled = false;
  }
}

async function start() {
  const settings = await (await fetch("settings")).json();
  place("bounds").textContent = `On this machine alone. Up to ${settings.bytes / 1e6} MB and ${settings.pixels / 1e6} million pixels; nothing is kept.`;
  settings.rows.forEach((row, index) => {
    const box = make("input", { type: "checkbox", value: row, checked: index === 0 });
    place("rows").append(make("label", {}, box, ` ${row}`));
  });
  place("file").addEventListener("change", (event) => choose(event.target.files[0]));
  for (const name of ["dragover", "dragleave", "drop"]) {
    place("drop").addEventListener(name, (event) => {
      event.preventDefault();
      place("drop").classList.toggle("over", name === "dragover");
      if (name === "drop") choose(event.dataTransfer.files[0]);
    });
  }
  place("strength").addEventListener("input", () => { place("strength-value").textContent = Number(place("strength").value).toFixed(2); });
  place("form").addEventListener("submit", (event) => { event.preventDefault(); restoreAll(settings); });
}

start().catch((error) => say(error.message, true));
