// While a run goes on, loads the page anew as long as the reader lets it.
const again = document.querySelector("[data-reload]");
if (again) setInterval(() => { if (again.checked) location.reload(); }, 1000 * Number(again.dataset.reload));
