// The rows and columns in view as text: CSV and JSON from the unrounded data in the page, LaTeX and Markdown as shown.
const FORMULA_STARTS = ["=", "+", "-", "@", "\t", "\r"];

function csvCell(value) {
  if (value === null) return "";
  let text = String(value);
  const isNumber = typeof value === "number" || (text.trim() !== "" && Number.isFinite(Number(text)));
  if (!isNumber && FORMULA_STARTS.includes(text[0])) text = `'${text}`; // a spreadsheet would take it for a formula
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

function asCsv(columns, lines) {
  return [columns.map((column) => column.key), ...lines].map((line) => `${line.map(csvCell).join(",")}\n`).join("");
}

function asJson(columns, lines) {
  const objects = lines.map((line) => Object.fromEntries(columns.map((column, place) => [column.key, line[place]])));
  return `${JSON.stringify(objects, null, 1)}\n`;
}

const MARKDOWN_ENTITIES = { "&": "&amp;", "<": "&lt;", ">": "&gt;", "@": "&#64;" };

function escapeMarkdown(text) {
  return text.replace(/([\\`*_{}[\]#|~$])/g, "\\$1").replace(/[&<>@]/g, (letter) => MARKDOWN_ENTITIES[letter]);
}

function asMarkdown(heads, lines, isNumeric) {
  const line = (cells) => `| ${cells.map(escapeMarkdown).join(" | ")} |`;
  const rule = `| ${isNumeric.map((is) => (is ? "--:" : ":--")).join(" | ")} |`;
  return [line(heads), rule, ...lines.map(line), ""].join("\n");
}

// `letters`: what stands for a special letter, and which other letters pdfLaTeX sets.
function escapeLatex(text, letters) {
  const escaped = (letter) => {
    if (letter in letters.special) return letters.special[letter];
    if ((letter >= " " && letter <= "~") || letters.plain.includes(letter)) return letter;
    return `{[}U+${letter.codePointAt(0).toString(16).toUpperCase().padStart(4, "0")}{]}`;
  };
  return Array.from(text, escaped).join("");
}

function asLatex(heads, lines, isNumeric, letters) {
  const line = (cells) => `${cells.map((cell) => escapeLatex(cell, letters)).join(" & ")} \\\\`;
  return [
    "% needs \\usepackage{booktabs,amssymb} and \\usepackage[T1]{fontenc}",
    `\\begin{tabular}{@{}${isNumeric.map((is) => (is ? "r" : "l")).join("")}@{}}`,
    "\\toprule", line(heads), "\\midrule", ...lines.map(line), "\\bottomrule", "\\end{tabular}", "",
  ].join("\n");
}

function download(name, type, text) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([text], { type }));
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
}

// Copies a text; where the browser does not allow it, the text stands selected in the box.
async function copyText(text, box) {
  box.hidden = false;
  box.value = text;
  box.select();
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    return false;
  }
}
