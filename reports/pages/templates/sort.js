// Sorts the first body of each sortable table; rows set apart stay below. Without this script the table stands ranked.
function setUpSorting() {
  for (const table of document.querySelectorAll("table.sortable")) {
    Array.from(table.tHead.rows[0].cells).forEach((head, index) => {
      const button = document.createElement("button");
      button.type = "button";
      button.append(...head.childNodes);
      head.append(button);
      button.addEventListener("click", () => {
        const order = head.getAttribute("aria-sort") === "ascending" ? "descending" : "ascending";
        sortTable(table, index, order);
        table.dispatchEvent(new CustomEvent("sorted", { detail: { index, order } }));
      });
    });
  }
}

function sortTable(table, index, order) {
  const heads = Array.from(table.tHead.rows[0].cells);
  heads.forEach((head) => head.removeAttribute("aria-sort"));
  heads[index].setAttribute("aria-sort", order);
  const sign = order === "ascending" ? 1 : -1;
  const value = (row) => row.cells[index].dataset.value;
  const compare = (one, other) => {
    const a = value(one), b = value(other);
    if (a === "" || b === "") return (a === "") - (b === "");
    const difference = Number(a) - Number(b);
    return sign * (Number.isNaN(difference) ? a.localeCompare(b) : difference);
  };
  const body = table.tBodies[0];
  body.append(...Array.from(body.rows).sort(compare));
}
