// The page: views, theme, the pair in sight, and the keyboard.

const $ = (id) => document.getElementById(id);
const percent = (n) => `${Math.round(100 * n)} %`;

// Theme: as the system, light, dark.
const THEMES = ["auto", "light", "dark"];
$("theme").addEventListener("click", () => {
  const now = document.documentElement.dataset.theme ?? "auto";
  const next = THEMES[(THEMES.indexOf(now) + 1) % THEMES.length];
  document.documentElement.dataset.theme = next;
  $("theme").textContent = `Theme: ${next}`;
  $("theme").setAttribute("aria-label", `Theme: ${next === "auto" ? "as the system" : next}`);
});

// What a bar of a chart says.
document.addEventListener("mouseover", (event) => {
  const bar = event.target.closest?.('.chart [aria-roledescription="bar"]');
  $("tip").hidden = !bar;
  if (!bar) return;
  $("tip").textContent = bar.getAttribute("aria-label");
  const box = bar.getBoundingClientRect();
  const tip = $("tip").getBoundingClientRect();
  $("tip").style.left = `${Math.max(8, Math.min(innerWidth - tip.width - 8, box.x + box.width / 2 - tip.width / 2))}px`;
  $("tip").style.top = `${Math.max(8, box.y - tip.height - 8)}px`;
});

// Views.
const views = ["overview", "pairs"];
const inPairs = () => !$("pairs").hidden;

function route() {
  const [view, id] = location.hash.slice(1).split("=");
  const now = view === "pairs" || view === "pair" ? "pairs" : "overview";
  for (const name of views) {
    $(name).hidden = name !== now;
    if (name === now) $(`tab-${name}`).setAttribute("aria-current", "page");
    else $(`tab-${name}`).removeAttribute("aria-current");
  }
  $("tip").hidden = true;
  if (now !== "pairs") return;
  list?.render();
  if (id && list) {
    const wanted = decodeURIComponent(id);
    if (list.current?.id === wanted) return;
    const at = list.pairs.findIndex((pair) => pair.id === wanted);
    if (at >= 0) list.select(at, true);
  }
}

// The pair in sight.
let sideBySide = false;
let showing = 0;
let openNode = null;
let words = [];

async function showPair(pair, open) {
  const mine = ++showing;
  const detail = $("detail");
  openNode = null;
  if (open) $("pairs").classList.add("open");
  if (!pair) {
    detail.replaceChildren(make("p", { class: "calm" }, list?.all.length ? "No pair fits. Clear the filters or search for less." : "No pairs yet: no search is solved."));
    return;
  }
  const texts = await textsOf(pair);
  if (mine !== showing) return;
  const tree = make("div", {});
  detail.replaceChildren(
    steps(pair),
    facts(pair),
    make("h2", {}, "Prompt"),
    ...texts.prompt.map(([role, text]) => {
      const block = textBlock([["same", text]], "prompt");
      return texts.prompt.length > 1 ? make("div", {}, make("h3", {}, plain(role)), block) : block;
    }),
    ...changes(texts.marks, pair),
    tree);
  if (texts.nodes.length) showTree(tree, pair, texts);
  detail.scrollTop = 0;
  if (inPairs() && open) history.replaceState(null, "", `#pair=${encodeURIComponent(pair.id)}`);
  if (open) detail.focus({ preventScroll: true });
  highlight(detail, words);
}

function steps(pair) {
  const move = (by) => () => list.select(list.at + by, true);
  return make("div", { class: "step" },
    make("button", { type: "button", onclick: closeDetail, class: "back" }, "List"),
    make("span", { class: "place" }, `Pair ${(list.at + 1).toLocaleString("en")} of ${list.pairs.length.toLocaleString("en")}`),
    make("button", { type: "button", onclick: move(-1), "aria-label": "Previous pair" }, "‹"),
    make("button", { type: "button", onclick: move(1), "aria-label": "Next pair" }, "›"));
}

function facts(pair) {
  const difference = pair.chosen_chars - pair.rejected_chars;
  const rows = [
    ["Similarity", share(pair.similarity)],
    ["Value", `${share(pair.rejected_value)} → ${share(pair.chosen_value)}`],
    ["Length", `${pair.rejected_chars.toLocaleString("en")} → ${pair.chosen_chars.toLocaleString("en")} (${signed(difference)})`],
    ["Depth", pair.depth],
    ["Refinements tried", pair.refinements],
    ["Tokens of the search", pair.tree_tokens === null ? null : pair.tree_tokens.toLocaleString("en")],
    ["Iteration", pair.iteration],
    ["Variant", several.variant ? plain(pair.variant) : null],
    ["Method", several.method ? plain(pair.method) : null],
    ["Id", make("span", { class: "id" }, plain(pair.id))],
  ];
  const known = rows.filter(([, value]) => value !== null);
  return make("dl", { class: "facts-list" }, ...known.map(([name, value]) =>
    make("div", {}, make("dt", {}, name), make("dd", {}, value instanceof Node ? value : String(value)))));
}

function changes(marks, pair) {
  const whole = marks.length === 3 && !marks[0] && marks[1] && marks[2];
  const body = make("div", {});
  const toggle = make("button", { type: "button", class: "switch", "aria-pressed": "false" });
  const write = () => {
    toggle.textContent = sideBySide ? "Show marked in one text" : "Show side by side";
    body.replaceChildren(sideBySide
      ? make("div", { class: "side" },
        make("div", {}, make("h3", {}, "Rejected"), textBlock(parts(marks, "in"))),
        make("div", {}, make("h3", {}, "Chosen"), textBlock(parts(marks, "out"))))
      : textBlock(parts(marks)));
    highlight($("detail"), words);
  };
  toggle.addEventListener("click", () => {
    sideBySide = !sideBySide;
    write();
  });
  write();
  const heading = make("h2", {}, "From rejected to chosen",
    make("span", { class: "legend" }, make("del", {}, "taken out"), " ", make("ins", {}, "put in")), toggle);
  const note = whole && Math.min(pair.rejected_chars, pair.chosen_chars) > SHOWN_CHARS
    ? make("p", { class: "calm" }, "These texts are too long to be compared word by word.") : null;
  return [heading, ...(note ? [note] : []), body];
}

function showTree(target, pair, texts) {
  const panel = make("div", {});
  let opened = 0;
  const mark = (number) => {
    for (const node of drawing.querySelectorAll(".node")) {
      node.setAttribute("aria-expanded", String(Number(node.dataset.node) === number));
    }
  };
  const close = () => {
    opened++;
    panel.replaceChildren();
    drawing.querySelector('[aria-expanded="true"]')?.focus();
    mark(null);
    openNode = null;
  };
  const open = async (number) => {
    const mine = ++opened;
    const held = await treeOf(pair);
    if (mine !== opened) return;
    const node = texts.nodes[number];
    mark(number);
    openNode = { close };
    const shown = nodePanel(node, nodeName(node, number, texts.chosen), held ? held[number] : null, close);
    panel.replaceChildren(shown);
    shown.focus({ preventScroll: true });
    shown.scrollIntoView({ block: "nearest" });
    highlight($("detail"), words);
  };
  const drawing = treeDrawing(texts.nodes, texts.chosen, open);
  target.append(
    make("h2", {}, "The search", make("span", { class: "legend" }, "votes for Yes at each node; open one for its texts")),
    drawing, panel);
}

function closeDetail() {
  $("pairs").classList.remove("open");
  list.render();
  $("list").focus();
}

// Filters and search.
let asked = 0;

async function apply() {
  const mine = ++asked;
  const { pairs, active } = filtered(list.all, $("filters"));
  $("active").textContent = active ? `(${active})` : "";
  words = $("search").value.toLowerCase().split(/\s+/).filter(Boolean);
  let found = pairs;
  if (words.length) {
    found = await searched(pairs, words, () => mine !== asked, (part) => {
      $("count").textContent = `Searching… ${percent(part)}`;
    });
    if (!found) return;
  }
  const all = list.all.length.toLocaleString("en");
  $("count").textContent = found.length === list.all.length ? `${all} pairs` : `${found.length.toLocaleString("en")} of ${all} pairs`;
  list.show(found);
  document.documentElement.dataset.asked = String(mine);
}

function fillSelect(name, values) {
  const select = $("filters").elements[name];
  select.append(make("option", { value: "" }, "all"), ...values.map((value) => make("option", { value }, String(value))));
}

// Keys.
const KEYS = {
  j: () => list.select(list.at + 1), ArrowDown: () => list.select(list.at + 1),
  k: () => list.select(list.at - 1), ArrowUp: () => list.select(list.at - 1),
  PageDown: () => list.select(list.at + 10), PageUp: () => list.select(list.at - 10),
  Home: () => list.select(0), End: () => list.select(list.pairs.length - 1),
};

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || $("help").open) return;
  const target = event.target;
  const typing = target.matches("input, select, textarea");
  if (event.key === "Escape" && inPairs()) {
    if (typing) $("list").focus();
    else if (openNode) openNode.close();
    else closeDetail();
  } else if (typing) {
    if (event.key === "Enter" && target === $("search")) $("list").focus();
    else return;
  } else if (event.key === "?") {
    $("help").showModal();
  } else if (event.key === "/") {
    if (!inPairs()) location.hash = "#pairs";
    setTimeout(() => $("search").select());
  } else if (!inPairs() || !list) {
    return;
  } else if (event.key === "m") {
    $("detail").querySelector(".switch")?.click();
  } else if (event.key === "Enter" && target === $("list")) {
    list.select(list.at, true);
  } else if (KEYS[event.key] && (event.key.length === 1 || target === $("list"))) {
    KEYS[event.key]();
  } else {
    return;
  }
  event.preventDefault();
});

$("help-open").addEventListener("click", () => $("help").showModal());
$("filters").addEventListener("submit", (event) => event.preventDefault());
$("filters").addEventListener("reset", () => setTimeout(apply));
let typed = 0;
$("filters").addEventListener("input", () => {
  clearTimeout(typed);
  typed = setTimeout(apply, 120);
});

// Who goes to the search field will search: open the texts meanwhile.
$("search").addEventListener("focus", () => list && searched(list.all, [], () => false, () => {}), { once: true });

let list = null;
addEventListener("hashchange", route);
route();
readIndex().then((all) => {
  list = new PairList(all, showPair);
  for (const name of ["iteration", "depth", "variant", "method"]) {
    const values = [...new Set(all.map((pair) => pair[name]))].filter((value) => value !== null);
    values.sort((a, b) => (typeof a === "number" ? a - b : a < b ? -1 : 1));
    fillSelect(name, values);
    several[name] = values.length > 1;
  }
  return apply();
}).then(() => {
  route();
  document.documentElement.dataset.ready = String(Math.round(performance.now()));
});
