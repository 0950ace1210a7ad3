// Draws series over time as SVG: lines, a band around them, the last value, and the value under the pointer.
"use strict";

const SVG = "http://www.w3.org/2000/svg";
const MARGIN = { left: 52, right: 8, top: 10, bottom: 20 };

function shape(name, attributes, text) {
  const element = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  if (text !== undefined) element.textContent = text;
  return element;
}

function extent(values, least) {
  let low = Math.min(...values), high = Math.max(...values);
  if (high - low < least) {
    const middle = (low + high) / 2;
    low = middle - least / 2;
    high = middle + least / 2;
  }
  return [low, high];
}

function clock(seconds, span) {
  const options = span < 300 ? { hour: "2-digit", minute: "2-digit", second: "2-digit" } : { hour: "2-digit", minute: "2-digit" };
  return new Date(seconds * 1000).toLocaleTimeString([], options);
}

// points: [{time, value, low?, high?}], value may be null; options: {format, nothing, least, floor, ceiling, whole}
function drawChart(box, points, options) {
  const known = points.filter((point) => point.value !== null && point.value !== undefined);
  box.replaceChildren();
  if (known.length === 0) {
    const nothing = document.createElement("div");
    nothing.className = "nothing";
    nothing.textContent = options.nothing;
    box.append(nothing);
    return;
  }
  const width = box.clientWidth || 400, height = box.clientHeight || 160;
  const values = known.flatMap((point) => [point.value, point.low ?? point.value, point.high ?? point.value]);
  let [low, high] = extent(values, options.least);
  if (options.floor !== undefined) [low, high] = [options.floor, Math.max(high, options.floor + options.least)];
  if (options.ceiling !== undefined && high > options.ceiling) [low, high] = [Math.min(low, options.ceiling - options.least), options.ceiling];
  if (options.whole) {
    low = Math.floor(low);
    high = low + 2 * Math.ceil((high - low) / 2);
  }
  const start = points[0].time, end = Math.max(points[points.length - 1].time, start + 1);
  const x = (time) => MARGIN.left + ((time - start) / (end - start)) * (width - MARGIN.left - MARGIN.right);
  const y = (value) => height - MARGIN.bottom - ((value - low) / (high - low)) * (height - MARGIN.top - MARGIN.bottom);
  const svg = shape("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": `last ${options.format(known[known.length - 1].value)}` });
  for (const value of [low, (low + high) / 2, high]) {
    svg.append(shape("line", { class: "grid", x1: MARGIN.left, x2: width - MARGIN.right, y1: y(value), y2: y(value) }));
    svg.append(shape("text", { x: MARGIN.left - 6, y: y(value) + 4, "text-anchor": "end" }, options.format(value)));
  }
  svg.append(shape("text", { x: MARGIN.left, y: height - 4 }, clock(start, end - start)));
  svg.append(shape("text", { x: width - MARGIN.right, y: height - 4, "text-anchor": "end" }, clock(end, end - start)));
  for (const run of runs(points)) {
    const place = (value) => (point) => `${x(point.time).toFixed(1)},${y(value(point)).toFixed(1)}`;
    if (run[0].low !== undefined && run[0].low !== null) {
      const edges = [...run.map(place((p) => p.high)), ...[...run].reverse().map(place((p) => p.low))];
      svg.append(shape("polygon", { class: "band", points: edges.join(" ") }));
    }
    svg.append(shape("polyline", { class: "line", points: run.map(place((p) => p.value)).join(" ") }));
  }
  const last = known[known.length - 1];
  const dot = shape("circle", { class: "dot", r: 3.5, cx: x(last.time), cy: y(last.value) });
  svg.append(dot);
  const hint = document.createElement("div");
  hint.className = "hint";
  hint.textContent = options.format(last.value);
  svg.addEventListener("pointermove", (event) => {
    const left = event.clientX - svg.getBoundingClientRect().left;
    const near = known.reduce((best, point) => (Math.abs(x(point.time) - left) < Math.abs(x(best.time) - left) ? point : best));
    dot.setAttribute("cx", x(near.time));
    dot.setAttribute("cy", y(near.value));
    hint.textContent = `${clock(near.time, 0)}  ${options.format(near.value)}`;
  });
  box.append(svg, hint);
}

// Pieces without a gap; one point alone is drawn by the dot.
function runs(points) {
  const found = [[]];
  for (const point of points) {
    if (point.value === null || point.value === undefined) found.push([]);
    else found[found.length - 1].push(point);
  }
  return found.filter((run) => run.length > 1);
}
