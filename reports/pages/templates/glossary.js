// Words of the glossary carry their meaning: the first time they stand in a caption, a note, a heading of a column or a
// paragraph of a section, the reader can point at them or reach them by keyboard.
const GLOSSED = "caption span, figcaption, .note, .certainty, .card dt, section > p";

function setUpGlossary(list) {
  const meanings = new Map();
  for (const line of list.querySelectorAll("div")) {
    meanings.set(line.querySelector("dt").textContent.trim().toLowerCase(), line.querySelector("dd").textContent);
  }
  const words = [...meanings.keys()].sort((a, b) => b.length - a.length);
  const pattern = new RegExp(`\\b(${words.join("|")})s?\\b`, "i");
  const tip = Object.assign(document.createElement("div"), { id: "meaning", className: "reason meaning", hidden: true });
  tip.setAttribute("role", "tooltip");
  document.body.append(tip);

  function show(term) {
    tip.textContent = meanings.get(term.dataset.term);
    tip.hidden = false;
    const box = term.getBoundingClientRect();
    tip.style.left = `${Math.max(8, Math.min(box.left, document.documentElement.clientWidth - tip.offsetWidth - 8)) + scrollX}px`;
    tip.style.top = `${box.bottom + 6 + scrollY}px`;
  }

  function mark(place, seen) {
    const walker = document.createTreeWalker(place, NodeFilter.SHOW_TEXT);
    for (let node = walker.nextNode(); node; node = walker.nextNode()) {
      const match = pattern.exec(node.textContent);
      if (!match || node.parentElement.closest("a, button, code, label, .term") || seen.has(match[1].toLowerCase())) continue;
      seen.add(match[1].toLowerCase());
      const rest = node.splitText(match.index);
      rest.splitText(match[0].length);
      const term = Object.assign(document.createElement("span"), { className: "term", tabIndex: 0 });
      term.dataset.term = match[1].toLowerCase();
      term.setAttribute("role", "term");
      term.setAttribute("aria-describedby", "meaning");
      rest.replaceWith(term);
      term.append(rest);
      walker.currentNode = term;
      for (const name of ["pointerenter", "focus"]) term.addEventListener(name, () => show(term));
      for (const name of ["pointerleave", "blur"]) term.addEventListener(name, () => { tip.hidden = true; });
    }
  }

  for (const part of document.querySelectorAll("header, main > section")) {
    if (part.contains(list)) continue;
    const seen = new Set();
    for (const place of part.querySelectorAll(GLOSSED)) mark(place, seen);
  }
  addEventListener("keydown", (event) => { if (event.key === "Escape") tip.hidden = true; });
}
