// The filters and the lists that they apply to. The page is put together at the end.

function chosen() {
  const limit = (input, otherwise) => (input.value === "" ? otherwise : Number(input.value));
  return {
    low: limit($("low"), -Infinity),
    high: limit($("high"), Infinity),
    text: $("text").value.toLowerCase(),
    small: $("small").checked,
    order: $("order").value,
    failures: $("only-failures").checked,
  };
}

const contains = (row, text) => (row.key ??= shown(row.path).toLowerCase()).includes(text);

function refresh() {
  const filter = chosen();
  orders.name ??= filter.order === "name" ? images.toSorted(byName) : undefined;
  grid.list = filter.failures ? [] : orders[filter.order].filter((row) =>
    row.score >= filter.low && row.score < filter.high
    && (!filter.small || Math.min(row.width, row.height) < about.crop_size)
    && contains(row, filter.text));
  grid.current = 0;
  const listed = fillFailures(filter);
  fillVideos(filter);
  for (const id of ["ends", "distribution", "images"]) {
    $(id).hidden = filter.failures || images.length === 0;
  }
  $("nothing").hidden = grid.list.length > 0;
  $("count").value = filter.failures
    ? `${whole(listed)} of ${many(about.counts.failures, "failure")}`
    : `${whole(grid.list.length)} of ${many(images.length, "image")}`
      + (about.counts.frames ? " and frames" : "");
  markHistogram(filter.low, filter.high);
  layOut();
}

function fillFailures(filter) {
  let listed = 0;
  for (const part of document.querySelectorAll("#failures details")) {
    const found = failures.filter((row) => row.error === part.kind && contains(row, filter.text));
    listed += found.length;
    part.hidden = found.length === 0;
    if (part.open) {
      part.lastChild.replaceWith(table(["Path", "What is wrong"], found.map((row) => [
        make("bdi", { className: "long" }, shown(row.path)),
        make("span", { className: "long" }, shown(row.message ?? "")),
      ])));
    }
  }
  $("failures").hidden = listed === 0;
  return listed;
}

function fillVideos(filter) {
  const found = videos.filter((row) => contains(row, filter.text)).sort(byScore);
  $("videos").hidden = found.length === 0 || filter.failures;
  const part = document.querySelector("#videos details");
  if (!part.open) return;
  const titles =
    ["", "Video", "Mean", "5th percentile", "Worst second", "Begins at", "Deviation", "Size"];
  part.lastChild.replaceWith(table(titles, found.map((row) => [
    thumbnail(row), showFrames(row), row.score, row.p5, row.worst_second ?? "",
    row.worst_time === undefined ? "" : clock(row.worst_time), row.std ?? "",
    row.width === undefined ? "" : `${row.width} × ${row.height}`,
  ])));
}

function showFrames(row) {
  const button = make("button", { className: "link long", type: "button", title: "Show its frames" },
    make("bdi", {}, shown(row.path)));
  button.addEventListener("click", () => {
    $("text").value = shown(row.path);
    refresh();
    $("images").scrollIntoView();
  });
  return button;
}

function describe() {
  const { counts, labels } = about;
  document.title = about.title;
  document.querySelector("h1").textContent = shown(about.title);
  const found = [many(counts.images - counts.frames, "image")];
  if (counts.videos || counts.frames) {
    found.push(many(counts.videos, "video"), many(counts.frames, "frame"));
  }
  $("summary").append(`${found.join(", ")}, `, counts.failures === 0 ? "no failures"
    : make("a", { href: "#failures" }, many(counts.failures, "failure")), ".");
  facts($("facts"), [
    ["Model", about.model],
    ["Score", `${labels.low} to ${labels.high}, ${labels.direction} is better (${labels.dataset})`],
    ["Crops", about.crops],
    ["Written", about.written],
    ["lifeiqa", about.version],
    ["sha256 of the model", about.model_sha256],
  ]);
  $("small-label").textContent = `small (below ${about.crop_size} px)`;
  if (images.length < counts.images) {
    const half = images.length / 2;
    $("sampled").textContent = `Of ${whole(counts.images)} images, this page holds the worst `
      + `${whole(half)} and the best ${whole(half)}. Counts and histogram cover all images.`;
    $("sampled").hidden = false;
  }
}

const fewFailures = about.counts.failures <= 10;

function describeFailures() {
  for (const { kind, count } of about.failures) {
    const held = failures.filter((row) => row.error === kind).length;
    const note = held < count ? `, the first ${whole(held)} are listed` : "";
    const part = make("details", { kind, open: fewFailures },
      make("summary", {}, make("span", { className: "kind" }, kind), ` ${whole(count)}${note}`),
      make("div"));
    part.addEventListener("toggle", () => fillFailures(chosen()));
    $("failures").append(part);
  }
}

function describeVideos() {
  const part = document.querySelector("#videos details");
  const held = videos.length;
  const note = held < about.counts.videos ? `, the worst ${whole(held)} are listed` : "";
  part.firstElementChild.textContent = `${many(about.counts.videos, "video")}${note}`;
  part.append(make("div"));
  part.open = held > 0 && held <= 20;
  part.addEventListener("toggle", () => fillVideos(chosen()));
}

function setPrinting(printing) {
  grid.printing = printing;
  $("print-note").hidden = !printing || grid.list.length <= PRINTED;
  $("print-note").textContent = `Printed: the first ${PRINTED} of ${whole(grid.list.length)}.`;
  layOut();
}

const STRIP = 12;
for (const id of ["worst", "best"]) {
  const list = orders[id].slice(0, STRIP);
  $(id).append(...list.map((_, position) => tile(list, position)));
}
describe();
describeFailures();
describeVideos();
if (bins.length > 0) drawHistogram();
refresh();

$("filters").addEventListener("input", refresh);
$("filters").addEventListener("submit", (event) => event.preventDefault());
$("filters").addEventListener("reset", () => setTimeout(refresh));  // after the values were reset
$("only-failures").addEventListener("change", (event) => {
  for (const part of document.querySelectorAll("#failures details")) {
    part.open = event.target.checked || fewFailures;
  }
});
let drawing = 0;
addEventListener("scroll", () => {
  cancelAnimationFrame(drawing);
  drawing = requestAnimationFrame(draw);
}, { passive: true });
// A phone hides its bars while the page scrolls, which changes only the height.
addEventListener("resize", () => ($("grid").clientWidth === grid.width ? draw() : layOut()));
addEventListener("beforeprint", () => setPrinting(true));
addEventListener("afterprint", () => setPrinting(false));
