// Starts what the page has: each part works alone, and without any of them the page stands as it is.
setUpSorting();
const dataBlock = document.getElementById("report-data");
if (dataBlock) {
  const data = JSON.parse(dataBlock.textContent);
  const view = new View();
  const chosen = (kind, key) => {
    const axes = data.axes.filter((axis) => axis.kind === kind);
    return axes.find((axis) => axis.key === key) ?? axes[0];
  };
  const axes = {
    get x() { return chosen("cost", view.get("x")); },
    get y() { return chosen("quality", view.get("y")); },
  };
  setUpTable(document.querySelector("table.explored"), data, view, axes);
  const figure = document.querySelector("[data-plot]");
  if (figure && axes.x && axes.y) {
    setUpSliders(figure.querySelector("[data-sliders]"), data, view);
    setUpPlot(figure, data, view, axes);
  }
  setUpDrawer(document.querySelector("[data-drawer]"), data, view);
  const comparer = document.querySelector("[data-comparer]");
  if (comparer) {
    setUpComparer(comparer, data, view);
    const table = document.querySelector("table.table-images");
    setUpBars(comparer.querySelector("[data-bars]"), table, data, view);
    setUpGallery(table, comparer, data, view);
  }
  if (location.hash.startsWith(VIEW)) document.getElementById("ranking").scrollIntoView();
}
const words = document.querySelector("#words dl");
if (words) setUpGlossary(words);
