// The list of pairs: filtered, ordered, searched; only the rows in sight are in the page.

const ROW = 84;
const SPARE = 6;

class PairList {
  constructor(all, chosen) {
    this.all = all;
    this.chosen = chosen;
    this.pairs = all;
    this.at = -1;
    this.box = document.getElementById("list");
    this.rows = document.getElementById("rows");
    this.box.addEventListener("scroll", () => this.render(), { passive: true });
    new ResizeObserver(() => this.render()).observe(this.box);
    this.rows.addEventListener("click", (event) => {
      const row = event.target.closest(".row");
      if (row) this.select(Number(row.dataset.at), true);
    });
  }

  get current() {
    return this.pairs[this.at];
  }

  // Shows other pairs and keeps the selected one if it is still among them.
  show(pairs) {
    const before = this.current;
    this.pairs = pairs;
    this.rows.style.height = `${pairs.length * ROW}px`;
    const at = before ? pairs.indexOf(before) : -1;
    this.at = -1;
    this.box.scrollTop = 0;
    if (pairs.length) this.select(Math.max(0, at));
    else {
      this.render();
      this.chosen(undefined, false);
    }
  }

  select(at, open = false) {
    if (!this.pairs.length) return;
    const before = this.current;
    this.at = Math.max(0, Math.min(this.pairs.length - 1, at));
    const top = this.at * ROW;
    const { scrollTop, clientHeight } = this.box;
    if (clientHeight && top < scrollTop) this.box.scrollTop = top;
    else if (clientHeight && top + ROW > scrollTop + clientHeight) this.box.scrollTop = top + ROW - clientHeight;
    this.render();
    if (open || this.current !== before) this.chosen(this.current, open);
  }

  render() {
    const first = Math.max(0, Math.floor(this.box.scrollTop / ROW) - SPARE);
    const last = Math.min(this.pairs.length, Math.ceil((this.box.scrollTop + this.box.clientHeight) / ROW) + SPARE);
    const rows = [];
    for (let at = first; at < last; at++) rows.push(this.row(at));
    this.rows.replaceChildren(...rows);
    if (this.at >= first && this.at < last) this.box.setAttribute("aria-activedescendant", `row-${this.at}`);
    else this.box.removeAttribute("aria-activedescendant");
  }

  row(at) {
    const pair = this.pairs[at];
    const row = make("div", {
      class: "row", role: "option", id: `row-${at}`, "data-at": at,
      "aria-selected": String(at === this.at), "aria-setsize": this.pairs.length, "aria-posinset": at + 1,
    },
      make("div", { class: "ask", dir: "auto" }, plain(pair.snippet) || "(empty prompt)"),
      make("div", { class: "facts" },
        [`${share(pair.similarity)} similar`, pair.depth === null ? null : `depth ${pair.depth}`,
          `${signed(pair.chosen_chars - pair.rejected_chars)} chars`, ...whose(pair)].filter(Boolean).join(" · ")));
    row.style.top = `${at * ROW}px`;
    return row;
  }
}

// Whose a pair is, as far as pairs differ in it.
let several = {};

function whose(pair) {
  const { iteration, variant, method } = pair;
  return [
    several.variant && !several.iteration ? null : `iteration ${iteration}`,
    several.variant ? plain(variant) : null,
    several.method ? plain(method) : null,
  ];
}

const signed = (number) => `${number > 0 ? "+" : number < 0 ? "−" : "±"}${Math.abs(number).toLocaleString("en")}`;

const ORDERS = {
  run: null,
  least: (a, b) => a.similarity - b.similarity,
  most: (a, b) => b.similarity - a.similarity,
  longer: (a, b) => b.chosen_chars - b.rejected_chars - (a.chosen_chars - a.rejected_chars),
  shorter: (a, b) => a.chosen_chars - a.rejected_chars - (b.chosen_chars - b.rejected_chars),
  refinements: (a, b) => b.refinements - a.refinements,
};

// The pairs that a form's fields leave, in the order it asks for.
function filtered(all, form) {
  const field = (name) => form.elements[name].value.trim();
  const tests = [];
  for (const name of ["iteration", "depth", "variant", "method"]) {
    if (field(name)) tests.push((pair) => String(pair[name]) === field(name));
  }
  for (const [name, column] of [["similarity", "similarity"], ["value", "chosen_value"], ["length", "chosen_chars"]]) {
    const least = field(`${name}-min`);
    const most = field(`${name}-max`);
    if (least) tests.push((pair) => pair[column] !== null && pair[column] >= Number(least));
    if (most) tests.push((pair) => pair[column] !== null && pair[column] <= Number(most));
  }
  if (form.elements.whole.checked) tests.push((pair) => pair.tree !== null);
  const order = ORDERS[field("order")];
  const pairs = tests.length ? all.filter((pair) => tests.every((test) => test(pair))) : all;
  return { pairs: order ? pairs.slice().sort(order) : pairs, active: tests.length + (order ? 1 : 0) };
}

// The pairs whose texts hold all words; null when `stopped` says so before the end.
async function searched(pairs, words, stopped, progress) {
  const chunks = [...new Set(pairs.map((pair) => pair.at[0]))];
  const hits = new Map();
  for (const [done, number] of chunks.entries()) {
    const texts = await searchableChunk(number);
    if (stopped()) return null;
    hits.set(number, texts.map((text) => words.every((word) => text.includes(word))));
    progress(done / chunks.length);
  }
  return pairs.filter((pair) => hits.get(pair.at[0])[pair.at[1]]);
}
