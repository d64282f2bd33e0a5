// The data of the page: an index of all pairs, and chunks of texts that are opened when needed.

const KEPT_CHUNKS = 12;
const kept = new Map();

async function unpack(element) {
  const raw = atob(element.textContent);
  const bytes = Uint8Array.from(raw, (character) => character.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate-raw"));
  return JSON.parse(await new Response(stream).text());
}

// The page may still be loading when its first pair is opened.
const parsed = new Promise((done) => {
  if (document.readyState === "loading") addEventListener("DOMContentLoaded", done);
  else done();
});

async function chunk(name) {
  if (!kept.has(name)) {
    const opened = (async () => {
      if (!document.getElementById(name)?.nextElementSibling) await parsed;
      return unpack(document.getElementById(name));
    })();
    kept.set(name, opened);
    if (kept.size > KEPT_CHUNKS) kept.delete(kept.keys().next().value);
  }
  return kept.get(name);
}

async function textsOf(pair) {
  return (await chunk(`pairs-${pair.at[0]}`))[pair.at[1]];
}

async function treeOf(pair) {
  return pair.tree && (await chunk(`trees-${pair.tree[0]}`))[pair.tree[1]];
}

// The index comes by column; a pair is an object.
async function readIndex() {
  const columns = await unpack(document.getElementById("index"));
  const names = Object.keys(columns);
  return (columns.id ?? []).map((_, number) => {
    const pair = { number };
    for (const name of names) pair[name] = columns[name][number];
    return pair;
  });
}

// What marks say: same, out, in, same, out, in, ...
const rejectedOf = (marks) => marks.filter((_, i) => i % 3 !== 2).join("");
const chosenOf = (marks) => marks.filter((_, i) => i % 3 !== 1).join("");

// Lower-case texts for searching, chunk by chunk; made once.
const searchable = new Map();

function searchableChunk(number) {
  if (!searchable.has(number)) {
    searchable.set(number, chunk(`pairs-${number}`).then((pairs) => pairs.map((pair) =>
      [...pair.prompt.map((turn) => turn[1]), rejectedOf(pair.marks), chosenOf(pair.marks)]
        .join("\n").toLowerCase())));
  }
  return searchable.get(number);
}
