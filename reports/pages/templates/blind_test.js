// A blind test: pairs in an order and on sides of this person's own. Nothing here knows which row a picture is of.
const data = JSON.parse(document.getElementById("blind-data").textContent);
const KEYS = { ArrowLeft: "left", ArrowRight: "right", ArrowDown: "tie" };
const element = (name) => document.querySelector(`[data-${name}]`);

// Reads and keeps the session, so that a reload loses nothing; a browser may forbid that, then the page does without.
const store = {
  name: `blind-test-${data.test}`,
  read() {
    try {
      return JSON.parse(localStorage.getItem(this.name));
    } catch {
      return null;
    }
  },
  write(session) {
    try {
      if (session) localStorage.setItem(this.name, JSON.stringify(session));
      else localStorage.removeItem(this.name);
    } catch {
      // the answers are in this page until it is closed
    }
  },
};

function randomBelow(limit) {
  return Math.floor((crypto.getRandomValues(new Uint32Array(1))[0] / 2 ** 32) * limit);
}

function shuffled(items) {
  const order = [...items];
  for (let last = order.length - 1; last > 0; last -= 1) {
    const other = randomBelow(last + 1);
    [order[last], order[other]] = [order[other], order[last]];
  }
  return order;
}

// Some pairs in random order and on random sides; then some of them again, sides exchanged.
function newSession(person) {
  const sided = ([first, second, reference]) => {
    const [left, right] = shuffled([first, second]);
    return { left, right, reference };
  };
  const trials = shuffled(data.pairs).slice(0, data.most).map(sided);
  const again = shuffled(trials).slice(0, data.repeats);
  const repeats = again.map(({ left, right, reference }) => ({ left: right, right: left, reference }));
  const name = Array.from(crypto.getRandomValues(new Uint8Array(8)), (byte) => byte.toString(16).padStart(2, "0"));
  return { session: name.join(""), person, trials: [...trials, ...repeats], answers: [] };
}

let session = store.read();
let shownAt = 0;

function show() {
  const place = session ? session.answers.length : 0;
  const isDone = session !== null && place >= session.trials.length;
  element("start").hidden = session !== null;
  element("test").hidden = session === null || isDone;
  element("end").hidden = !isDone;
  element("saving").hidden = session === null;
  if (session === null || isDone) return;
  const trial = session.trials[place];
  for (const side of ["left", "right"]) {
    document.querySelector(`img[data-side="${side}"]`).src = data.pictures[trial[side]];
  }
  const reference = element("reference");
  reference.hidden = trial.reference === undefined;
  if (!reference.hidden) {
    reference.src = data.pictures[trial.reference];
    reference.alt = data.reference === "target" ? "The picture as it should be" : "The picture before restoration";
  }
  element("progress").textContent = `Pair ${place + 1} of ${session.trials.length}`;
  element("back").disabled = place === 0;
  shownAt = performance.now();
}

function choose(choice) {
  const trial = session.trials[session.answers.length];
  const seconds = Math.round((performance.now() - shownAt) / 10) / 100;
  session.answers.push({ left: trial.left, right: trial.right, choice, seconds });
  store.write(session);
  show();
}

function back() {
  session.answers.pop();
  store.write(session);
  show();
}

function save() {
  const answers = { schema: 2, test: data.test, session: session.session, person: session.person, answers: session.answers };
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([`${JSON.stringify(answers, null, 1)}\n`], { type: "application/json" }));
  link.download = `answers_${data.test}_${session.session}.json`;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
}

element("begin").addEventListener("click", () => {
  session = newSession(element("person").value.trim());
  store.write(session);
  show();
});
for (const button of document.querySelectorAll("[data-choice]")) {
  button.addEventListener("click", () => choose(button.dataset.choice));
}
element("back").addEventListener("click", back);
element("save").addEventListener("click", save);
element("restart").addEventListener("click", () => {
  if (session.answers.length > 0 && !confirm("Are the answers of this person saved? They are removed here.")) return;
  session = null;
  store.write(null);
  element("person").value = "";
  show();
});
document.addEventListener("keydown", (event) => {
  const isTesting = !element("test").hidden && !event.ctrlKey && !event.metaKey && !event.altKey;
  if (!isTesting || event.repeat) return;
  if (event.key in KEYS) choose(KEYS[event.key]);
  else if (event.key === "Backspace" && session.answers.length > 0) back();
  else return;
  event.preventDefault();
});
show();
