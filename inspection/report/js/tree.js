// A search tree as a drawing whose nodes open.

const SVG = "http://www.w3.org/2000/svg";
const NODE = { width: 54, height: 32, across: 64, down: 76 };

function draw(tag, attributes, ...children) {
  const element = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

// Leaves stand side by side, a parent above the middle of its children.
function layout(nodes) {
  const children = nodes.map(() => []);
  const roots = [];
  nodes.forEach((node, i) => {
    if (node.parent !== null && node.parent < i) children[node.parent].push(i);
    else roots.push(i);
  });
  const places = nodes.map(() => null);
  let leaves = 0;
  const stack = roots.reverse().map((i) => [i, false]);
  while (stack.length) {
    const [i, after] = stack.pop();
    const own = children[i];
    if (own.length && !after) {
      stack.push([i, true], ...own.slice().reverse().map((child) => [child, false]));
    } else {
      const x = own.length ? (places[own[0]].x + places[own.at(-1)].x) / 2 : leaves++;
      places[i] = { x, y: nodes[i].depth };
    }
  }
  return places.map(({ x, y }) => ({ x: x * NODE.across + NODE.across / 2, y: y * NODE.down + 34 }));
}

const passes = (node) => node.value !== null && node.value > 0.5;
const share = (value) => (value === null ? "–" : value.toFixed(2));

function votesSaid(node) {
  const unread = node.unread ? `, ${node.unread} unreadable` : "";
  return `${node.yes} Yes, ${node.no} No${unread}`;
}

function nodeName(node, i, chosen) {
  const kind = node.parent === null ? "Rejected response" : `Refinement ${node.id}`;
  return `${kind}${i === chosen && node.parent !== null ? " (chosen)" : ""}`;
}

function treeDrawing(nodes, chosen, open) {
  const places = layout(nodes);
  const path = new Set();
  for (let i = chosen; i !== undefined && i !== null && !path.has(i); i = nodes[i].parent) path.add(i);
  const width = Math.max(...places.map((place) => place.x)) + NODE.across / 2;
  const height = Math.max(...places.map((place) => place.y)) + 44;
  const svg = draw("svg", { width, height, viewBox: `0 0 ${width} ${height}`, role: "group", "aria-label": `Search tree of ${nodes.length} nodes` });
  const edges = nodes.map((node, i) => [node.parent, i]).filter(([parent, i]) => parent !== null && parent < i);
  edges.sort((a, b) => path.has(a[1]) - path.has(b[1]));
  for (const [parent, i] of edges) {
    const from = places[parent];
    const to = places[i];
    const middle = (from.y + to.y) / 2;
    svg.append(draw("path", {
      class: path.has(i) ? "chosen" : "",
      d: `M${from.x},${from.y + NODE.height / 2}C${from.x},${middle} ${to.x},${middle} ${to.x},${to.y - NODE.height / 2}`,
    }));
  }
  nodes.forEach((node, i) => {
    const { x, y } = places[i];
    const state = node.value === null ? "" : passes(node) ? "pass" : "fail";
    const sign = { pass: "✓ ", fail: "✗ ", "": "" }[state];
    const group = draw("g", {
      class: `node ${state} ${i === chosen ? "chosen-node" : ""}`,
      role: "button",
      tabindex: 0,
      "data-node": i,
      "aria-expanded": "false",
      "aria-label": `${nodeName(node, i, chosen)}, depth ${node.depth}, ${votesSaid(node)}`,
    },
      draw("rect", { x: x - NODE.width / 2, y: y - NODE.height / 2, width: NODE.width, height: NODE.height, rx: 9 }),
      draw("text", { x, y: y + 4.5 }, node.value === null ? "?" : `${sign}${node.yes}/${node.yes + node.no}`));
    if (node.parent === null) group.append(draw("text", { x, y: y - NODE.height / 2 - 6, class: "label" }, "rejected"));
    if (i === chosen) group.append(draw("text", { x, y: y + NODE.height / 2 + 16, class: "label" }, "chosen"));
    group.addEventListener("click", () => open(i));
    group.addEventListener("keydown", (event) => {
      if (event.key !== "Enter" && event.key !== " ") return;
      event.preventDefault();
      event.stopPropagation();
      open(i);
    });
    svg.append(group);
  });
  return make("div", { class: "tree" }, svg);
}

// What a node holds; texts are null where the page does not carry them.
function nodePanel(node, name, texts, close) {
  const said = passes(node) ? "passed" : node.value === null ? "not judged" : "failed";
  const panel = make("section", { class: "panel", tabindex: "-1", "aria-label": name },
    make("h3", {}, `${name}: ${said}, ${votesSaid(node)}`, make("button", { type: "button", onclick: close }, "Close")));
  if (!texts) {
    panel.append(make("p", { class: "calm" },
      "This file holds the shape of this search and not its texts, to stay small. A report with fewer pairs (--pairs) holds the texts of more searches."));
    return panel;
  }
  const root = node.parent === null;
  panel.append(
    make("h3", {}, root ? "Response" : "Response, with the changes to its parent marked"),
    textBlock(parts(texts.marks)));
  if (!root) panel.append(make("h3", {}, "Reflection"), textBlock([["same", texts.reflection]]));
  const critique = typeof texts.critique === "number" ? texts.votes[texts.critique][1] : texts.critique;
  panel.append(make("h3", {}, "Critique"), textBlock([["same", critique]]));
  panel.append(make("h3", {}, `Votes (${texts.votes.length})`));
  texts.votes.forEach(([vote, text, finish], i) => {
    const verdict = vote === null ? make("b", {}, "unreadable") : make("b", { class: vote.toLowerCase() === "yes" ? "yes" : "no" }, plain(vote));
    const summary = make("summary", {}, `Vote ${i + 1}: `, verdict,
      i === texts.critique ? " (the critique)" : null,
      finish && finish !== "stop" ? ` (ended by: ${plain(finish)})` : null);
    const details = make("details", { class: "vote" }, summary);
    details.addEventListener("toggle", () => {
      if (details.open && details.children.length === 1) details.append(textBlock([["same", text]]));
    });
    panel.append(details);
  });
  return panel;
}
