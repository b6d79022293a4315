// Images: a tile for each, the dialog that it opens, and the grid of the selected ones.

function tile(list, position) {
  const row = list[position];
  const value = make("span", { className: "score" }, score(row.score));
  if (row.time !== undefined) value.append(make("small", {}, ` at ${clock(row.time)}`));
  const name = make("span", { className: "name" }, make("bdi", {}, shown(base(row.path))));
  const button = make("button", { className: "tile", type: "button", title: shown(row.path) },
    thumbnail(row), value, name);
  button.addEventListener("click", () => openDetail(list, position));
  return make("li", {}, button);
}

const detail = { list: images, position: 0 };

function openDetail(list, position) {
  detail.list = list;
  detail.position = Math.max(0, Math.min(list.length - 1, position));
  const row = list[detail.position];
  $("detail-name").replaceChildren(make("bdi", {}, shown(base(row.path))));
  $("detail-image").replaceChildren(thumbnail(row));
  facts($("detail-facts"), [
    ["Score", score(row.score)],
    ["Deviation over its crops", row.std === undefined ? undefined : score(row.std)],
    ["Crops", row.crops === undefined ? undefined : whole(row.crops)],
    ["Size", row.width === undefined ? undefined : `${row.width} × ${row.height} px`],
    ["Frame", row.frame === undefined ? undefined : `${whole(row.frame)}, at ${clock(row.time)}`],
    ["Note", row.message],
    ["Path", make("bdi", {}, shown(row.path))],
  ]);
  $("previous").disabled = detail.position === 0;
  $("next").disabled = detail.position === list.length - 1;
  if (!$("detail").open) $("detail").showModal();
  else if (document.activeElement.disabled) $("close").focus();
}

const step = (by) => openDetail(detail.list, detail.position + by);
$("previous").addEventListener("click", () => step(-1));
$("next").addEventListener("click", () => step(1));
document.addEventListener("keydown", (event) => {  // wherever the focus is
  if (!$("detail").open) return;
  if (event.key === "ArrowLeft") step(-1);
  if (event.key === "ArrowRight") step(1);
});
$("detail").addEventListener("click", (event) => {  // on the backdrop
  if (event.target === $("detail")) $("detail").close();
});

// Only visible tiles are in the document.

const TILE_WIDTH = 148;
const TILE_HEIGHT = 190;  // equal to that of the style sheet
const PRINTED = 200;
const grid = { list: [], tiles: new Map(), width: 0, columns: 1, current: 0, printing: false };

function layOut() {
  grid.width = $("grid").clientWidth;
  grid.columns = Math.max(1, Math.floor(grid.width / TILE_WIDTH));
  $("grid").style.height = `${Math.ceil(grid.list.length / grid.columns) * TILE_HEIGHT}px`;
  grid.tiles.clear();
  $("grid").replaceChildren();
  draw();
}

function wanted() {
  const { list, columns, current } = grid;
  if (grid.printing) return new Set(list.slice(0, PRINTED).keys());
  const top = $("grid").getBoundingClientRect().top;
  const first = Math.max(0, Math.floor(-top / TILE_HEIGHT) - 1) * columns;
  const last = Math.min(list.length, (Math.ceil((innerHeight - top) / TILE_HEIGHT) + 1) * columns);
  const places = new Set();
  for (let place = first; place < last; place++) places.add(place);
  if (current < list.length) places.add(current);  // it has the focus, or gets it by the Tab key
  return places;
}

function draw() {
  const places = wanted();
  for (const [place, item] of grid.tiles) {
    if (!places.has(place)) {
      item.remove();
      grid.tiles.delete(place);
    }
  }
  for (const place of places) if (!grid.tiles.has(place)) addTile(place);
}

function addTile(place) {
  const item = tile(grid.list, place);
  item.style.width = `${100 / grid.columns}%`;
  item.style.left = `${(place % grid.columns) * 100 / grid.columns}%`;
  item.style.top = `${Math.floor(place / grid.columns) * TILE_HEIGHT}px`;
  item.ariaPosInSet = place + 1;
  item.ariaSetSize = grid.list.length;
  item.firstChild.tabIndex = place === grid.current ? 0 : -1;
  item.firstChild.addEventListener("focus", () => makeCurrent(place));
  // In the order of the list, for screen readers and the Tab key.
  const next = Math.min(...[...grid.tiles.keys()].filter((other) => other > place));
  $("grid").insertBefore(item, grid.tiles.get(next) ?? null);
  grid.tiles.set(place, item);
}

function makeCurrent(place) {
  const before = grid.tiles.get(grid.current);
  if (before) before.firstChild.tabIndex = -1;
  grid.current = place;
  if (grid.tiles.has(place)) grid.tiles.get(place).firstChild.tabIndex = 0;
}

function moveTo(place) {
  makeCurrent(Math.max(0, Math.min(grid.list.length - 1, place)));
  const line = Math.floor(grid.current / grid.columns);
  const top = $("grid").getBoundingClientRect().top + line * TILE_HEIGHT;
  const bar = $("filters").getBoundingClientRect();
  const roof = getComputedStyle($("filters")).position === "sticky" ? bar.height : 0;
  if (top < roof) scrollBy(0, top - roof);
  else if (top + TILE_HEIGHT > innerHeight) scrollBy(0, top + TILE_HEIGHT - innerHeight);
  draw();
  grid.tiles.get(grid.current).firstChild.focus({ preventScroll: true });
}

$("grid").addEventListener("keydown", (event) => {
  const page = Math.max(1, Math.floor(innerHeight / TILE_HEIGHT) - 1) * grid.columns;
  const target = {
    ArrowLeft: grid.current - 1, ArrowRight: grid.current + 1,
    ArrowUp: grid.current - grid.columns, ArrowDown: grid.current + grid.columns,
    PageUp: grid.current - page, PageDown: grid.current + page,
    Home: 0, End: grid.list.length - 1,
  }[event.key];
  if (target === undefined || event.ctrlKey || event.metaKey || event.altKey) return;
  event.preventDefault();
  moveTo(target);
});
