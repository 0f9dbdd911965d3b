// Lays two versions of an image over each other: which ones, where they divide, and how large. Without this script the
// left half of the degraded and the right half of the first restored image stand.
for (const figure of document.querySelectorAll("[data-compare]")) {
  const images = figure.querySelectorAll(".layers img");
  const layers = figure.querySelector(".layers");
  const stage = figure.querySelector(".stage");
  const [left, right] = ["left", "right"].map((side) => figure.querySelector(`[data-side=${side}]`));
  const show = () => images.forEach((image, index) => {
    image.className = index === Number(left.value) ? "left" : index === Number(right.value) ? "right" : "";
  });
  left.addEventListener("change", show);
  right.addEventListener("change", show);
  figure.querySelector("[data-divide]").addEventListener("input", (event) => {
    layers.style.setProperty("--divide", `${event.target.value}%`);
  });
  figure.querySelector("[data-zoom]").addEventListener("input", (event) => {
    const zoom = Number(event.target.value), before = stage.scrollWidth;
    const middle = [stage.scrollLeft + stage.clientWidth / 2, stage.scrollTop + stage.clientHeight / 2];
    layers.style.setProperty("--zoom", zoom);
    layers.classList.toggle("exact", zoom > 2);
    const grown = stage.scrollWidth / before;
    stage.scrollTo({ left: middle[0] * grown - stage.clientWidth / 2, top: middle[1] * grown - stage.clientHeight / 2, behavior: "instant" });
  });
  figure.querySelector(".controls").hidden = false;
}
