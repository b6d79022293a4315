"use strict";
// The rows of the page, and how they are shown as text. File names are not trusted: they
// reach the document only as text, never as HTML.

const $ = (id) => document.getElementById(id);
const read = (element) => JSON.parse(element.textContent);
const make = (tag, properties = {}, ...children) => {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...children);
  return element;
};

const about = read($("about"));
const rows = [...document.querySelectorAll("script.rows")].flatMap(read);
// Thumbnails are most of the page: a block is parsed when one of its thumbnails is first shown.
const blocks = [...document.querySelectorAll("script.thumbnails")].map((element) => ({ element }));
rows.forEach((row, place) => { row.place = place; });

const failures = rows.filter((row) => row.error !== undefined);
const videos = rows.filter((row) => row.p5 !== undefined);
const images = rows.filter((row) => row.error === undefined && row.p5 === undefined);
const lowerIsWorse = about.labels.direction === "higher";
const collator = new Intl.Collator("en", { numeric: true });
const byScore = (a, b) =>
  (lowerIsWorse ? a.score - b.score : b.score - a.score) || a.place - b.place;
const byName = (a, b) => collator.compare(a.path, b.path) || (a.frame ?? 0) - (b.frame ?? 0);
images.sort(byScore);
// The order by name is made on first use.
const orders = { worst: images, best: images.toReversed() };

// Four significant digits of the label range: 0.1234 of a range of 1, 12.34 of a range of 100.
const magnitude = Math.ceil(Math.log10(about.labels.high - about.labels.low));
const digits = Math.max(0, Math.min(8, 4 - magnitude));
const score = (value) => value.toFixed(digits);
const whole = (number) => number.toLocaleString("en");
const many = (number, one) => `${whole(number)} ${one}${number === 1 ? "" : "s"}`;
const clock = (seconds) => {
  const tenths = Math.round(10 * seconds);
  return `${Math.floor(tenths / 600)}:${(tenths % 600 / 10).toFixed(1).padStart(4, "0")}`;
};
// A backslash in a Linux name begins an escape. Only on Windows it separates folders.
const parting = (path) => (/^([a-z]:|\\)\\/i.test(path) ? "\\" : "/");
const base = (path) => path.slice(path.lastIndexOf(parting(path)) + 1) || path;
// Control characters, and marks of text direction, can make one name look like another.
const shown = (name) => name.replace(
  /[\p{Cc}\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]/gu,
  (mark) => `\\u${mark.codePointAt(0).toString(16).padStart(4, "0")}`,
);

function thumbnail(row) {
  const block = blocks[Math.floor(row.place / about.block)];
  block.data ??= read(block.element);
  const data = block.data[row.place % about.block];
  if (data === null) return make("span", { className: "image" }, "no thumbnail");
  const image = make("img", { src: `data:image/webp;base64,${data}`, alt: "", decoding: "async" });
  return make("span", { className: "image" }, image);
}

function facts(list, pairs) {
  list.replaceChildren(...pairs.filter(([, value]) => value !== undefined).map(
    ([name, value]) => make("div", {}, make("dt", {}, name), make("dd", {}, value)),
  ));
}

function table(titles, lines) {
  const cells = (tag, line) => line.map((cell) =>
    make(tag, {}, typeof cell === "number" ? score(cell) : cell));
  const head = make("tr", {}, ...cells("th", titles));
  const body = lines.map((line) => make("tr", {}, ...cells("td", line)));
  return make("div", { className: "scroll" },
    make("table", {}, make("thead", {}, head), make("tbody", {}, ...body)));
}
