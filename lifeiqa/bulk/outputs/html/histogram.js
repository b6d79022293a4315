// The histogram. Clicking a bar, or dragging over several, sets the range of scores.

const { edges, counts: bins } = about.histogram;

function drawHistogram() {
  const highest = Math.max(...bins, 1);
  $("histogram").setAttribute("viewBox", `0 0 ${bins.length} 100`);
  bins.forEach((count, bin) => {
    const tall = count === 0 ? 0 : Math.max(1.5, 98 * count / highest);  // so that a single image is visible
    const back = rectangle("back", bin, 1, 0, 100);
    const title = document.createElementNS("http://www.w3.org/2000/svg", "title");
    title.textContent = `${edges[bin]} to ${edges[bin + 1]}: ${many(count, "image")}`;
    back.append(title);
    $("histogram").append(back, rectangle("bar", bin + 0.06, 0.88, 100 - tall, tall));
  });
  const marks = innerWidth < 640 ? 5 : 12;
  const every = [1, 2, 5, 10].find((each) => bins.length <= each * marks);
  for (let edge = 0; edge < bins.length; edge++) {
    if (Math.round(edges[edge] / (edges[1] - edges[0])) % every !== 0) continue;
    const mark = make("span", {}, String(edges[edge]));
    mark.style.left = `${100 * edge / bins.length}%`;
    $("axis").append(mark);
  }
  const [low, high] = about.extent;
  const range = `${many(about.counts.images, "score")} from ${score(low)} to ${score(high)}`;
  $("histogram").ariaLabel = `Histogram of ${range}. The filters below choose a range by numbers.`;
  document.querySelector("figcaption").textContent =
    `${range}. The ${lowerIsWorse ? "left" : "right"} is worse. `
    + "Click a bar, or drag over several, to see their images.";
}

function rectangle(kind, x, width, y, height) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", "rect");
  for (const [name, value] of Object.entries({ class: kind, x, y, width, height })) {
    element.setAttribute(name, value);
  }
  return element;
}

function markHistogram(low, high) {
  document.querySelectorAll("#histogram .bar").forEach((bar, bin) => {
    bar.classList.toggle("chosen", edges[bin] >= low && edges[bin + 1] <= high);
  });
}

const binAt = (event) => {
  const box = $("histogram").getBoundingClientRect();
  const bin = Math.floor((event.clientX - box.left) / box.width * bins.length);
  return Math.max(0, Math.min(bins.length - 1, bin));
};
let pressed = null;
const ends = (bin) => [edges[Math.min(pressed, bin)], edges[Math.max(pressed, bin) + 1]];
$("histogram").addEventListener("pointerdown", (event) => {
  pressed = binAt(event);
  $("histogram").setPointerCapture(event.pointerId);
  markHistogram(...ends(pressed));
  event.preventDefault();
});
$("histogram").addEventListener("pointermove", (event) => {
  if (pressed !== null) markHistogram(...ends(binAt(event)));
});
$("histogram").addEventListener("pointerup", (event) => {
  if (pressed === null) return;
  const [low, high] = ends(binAt(event)).map(String);
  const again = $("low").value === low && $("high").value === high;
  $("low").value = again ? "" : low;
  $("high").value = again ? "" : high;
  pressed = null;
  refresh();
});
$("histogram").addEventListener("pointercancel", () => { pressed = null; refresh(); });
