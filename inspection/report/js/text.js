// Text of models on the page: always as text, never as markup.

const SHOWN_CHARS = 20000;
const PIECE_CHARS = 4000;
const SPELT_AT_MOST = 2000;

// Control characters, and characters that nobody sees or that turn the writing direction.
const UNSEEN = /([\0-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\xad\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u2069\ufeff\ufff9-\ufffb\u{e0000}-\u{e007f}]|\r(?!\n))/u;
const ALL_UNSEEN = new RegExp(UNSEEN.source, "gu");

function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name === "onclick") element.addEventListener("click", value);
    else if (value !== null && value !== false) element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.filter((child) => child !== null));
  return element;
}

const CONTROLS = ("NUL SOH STX ETX EOT ENQ ACK BEL BS HT LF VT FF CR SO SI DLE DC1 DC2 DC3 DC4 NAK "
  + "SYN ETB CAN EM SUB ESC FS GS RS US").split(" ");

function spelt(character) {
  const code = character.codePointAt(0);
  return CONTROLS[code] ?? `U+${code.toString(16).toUpperCase().padStart(4, "0")}`;
}

// One line, for lists and labels.
const plain = (text) => text.replace(ALL_UNSEEN, (character) => `⟨${spelt(character)}⟩`);

function appendText(target, text, inChange) {
  const pieces = text.split(UNSEEN);
  if (pieces.length > SPELT_AT_MOST) {
    target.append(plain(text));
    return;
  }
  pieces.forEach((piece, i) => {
    if (i % 2) {
      target.append(make("span", { class: "control" }, spelt(piece)));
    } else if (inChange && piece.includes("\n")) {
      piece.split("\n").forEach((line, n) => {
        if (n) target.append(make("span", { class: "newline", "aria-hidden": "true" }, "\u21b5"), "\n");
        target.append(line);
      });
    } else if (piece) {
      target.append(piece);
    }
  });
}

function appendParts(target, parts, room = Infinity) {
  for (const [kind, text] of parts) {
    if (room <= 0) return;
    const shown = text.slice(0, room);
    room -= shown.length;
    if (kind === "same") appendText(target, shown, false);
    else {
      const change = make(kind === "in" ? "ins" : "del");
      appendText(change, shown, true);
      target.append(change);
    }
  }
}

// Browsers take minutes to break a line of a megabyte; in pieces that are laid out when they come
// into sight it is at once. A piece ends with a line where it can.
function pieces(parts) {
  const blocks = [];
  let piece = [];
  let room = PIECE_CHARS;
  const end = () => {
    const block = make("div", { class: "piece", dir: "auto" });
    appendParts(block, piece);
    blocks.push(block);
    piece = [];
    room = PIECE_CHARS;
  };
  for (const [kind, text] of parts) {
    let at = 0;
    while (at < text.length) {
      const line = text.lastIndexOf("\n", at + room - 1) + 1;
      const fits = text.length - at <= room;
      const to = fits ? text.length : line > at ? line : at + room;
      piece.push([kind, text.slice(at, to)]);
      room -= to - at;
      at = to;
      if (!fits || room <= 0) end();
    }
  }
  if (piece.length) end();
  return blocks;
}

// A block of [kind, text] parts: kind is "same", "out" or "in". Long ones are cut until asked for.
function textBlock(parts, more = "") {
  const length = parts.reduce((sum, part) => sum + part[1].length, 0);
  const block = make("div", { class: `text ${more}`, dir: "auto" });
  appendParts(block, parts, SHOWN_CHARS);
  if (!length) {
    block.classList.add("empty");
    block.textContent = "no text";
  }
  if (length <= SHOWN_CHARS) return block;
  const button = make("button", { type: "button", class: "all" }, `Show all ${length.toLocaleString("en")} characters`);
  button.addEventListener("click", () => {
    block.replaceChildren(...pieces(parts));
    button.remove();
  });
  return make("div", {}, block, button);
}

const KINDS = ["same", "out", "in"];

function parts(marks, without = "") {
  return marks.map((text, i) => [KINDS[i % 3], text]).filter(([kind, text]) => text && kind !== without);
}

// Marks what was searched for, without touching the text.
function highlight(root, words) {
  if (!window.Highlight) return;
  CSS.highlights.delete("found");
  if (!words.length) return;
  const found = new Highlight();
  const walker = document.createTreeWalker(root, NodeFilter.SHOW_TEXT);
  for (let node = walker.nextNode(); node; node = walker.nextNode()) {
    const text = node.data.toLowerCase();
    if (text.length !== node.data.length) continue;
    for (const word of words) {
      for (let at = text.indexOf(word); at >= 0 && found.size < 2000; at = text.indexOf(word, at + word.length)) {
        const range = new Range();
        range.setStart(node, at);
        range.setEnd(node, at + word.length);
        found.add(range);
      }
    }
  }
  CSS.highlights.set("found", found);
}
