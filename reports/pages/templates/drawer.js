// The drawer of a row: what the section "Row by row" says about it, beside the table. The view has the row's name.
function setUpDrawer(dialog, data, view) {
  const body = dialog.querySelector("[data-body]");
  const part = (name) => dialog.querySelector(`[data-${name}]`);
  const withDetails = data.rows.filter((row) => document.getElementById(row.details));
  let details = null;

  function giveBack() {
    if (details) details.append(...body.childNodes);
    details = null;
  }

  function apply() {
    const row = withDetails.find((one) => one.name === view.get("row"));
    giveBack();
    if (!row) {
      if (dialog.open) dialog.close();
      return;
    }
    details = document.getElementById(row.details);
    body.append(...Array.from(details.childNodes).filter((node) => node.nodeName !== "SUMMARY"));
    dialog.querySelector("h2").textContent = row.name;
    if (!dialog.open) dialog.showModal();
    dialog.scrollTop = 0;
  }

  const move = (step) => {
    const place = withDetails.findIndex((row) => row.name === view.get("row"));
    view.set({ row: withDetails[(place + step + withDetails.length) % withDetails.length].name });
  };
  part("previous").addEventListener("click", () => move(-1));
  part("next").addEventListener("click", () => move(1));
  part("images").hidden = !data.pictures;
  part("images").addEventListener("click", () => {
    const versions = ["degraded", "base", view.get("row"), "target"].filter((name, place, all) => all.indexOf(name) === place);
    view.set({ row: "", versions: versions.filter((name) => name in data.pictures.folders).join("|") });
    document.querySelector("[data-comparer]").scrollIntoView();
  });
  part("close").addEventListener("click", () => dialog.close());
  dialog.addEventListener("click", (event) => { if (event.target === dialog) dialog.close(); });
  dialog.addEventListener("close", () => { if (view.get("row")) view.set({ row: "" }); });
  for (const row of withDetails) {
    const link = document.querySelector(`[id="${row.anchor}"] th a`);
    link?.addEventListener("click", (event) => {
      event.preventDefault();
      view.set({ row: row.name });
    });
  }
  view.onChange(apply);
  apply();
}
