"use strict";
// Draws a run from its data, which are embedded in the page or fetched repeatedly. Every text goes through
// textContent, so no content of a run is ever interpreted as HTML.

function element(kind, text, parent, className) {
  const made = document.createElement(kind);
  if (text !== undefined && text !== null) made.textContent = text;
  if (className) made.className = className;
  if (parent) parent.append(made);
  return made;
}

function say(text) {
  document.getElementById("message").textContent = text;
}

function shown(value) {
  if (value === null || value === undefined) return "-";
  if (typeof value === "boolean") return value ? "True" : "False";
  if (typeof value !== "number") return value;
  const rounded = Number(value.toPrecision(6));
  return rounded !== 0 && Math.abs(rounded) < 1e-4 ? rounded.toExponential() : String(rounded);
}

// ---------------------------------------------------------------------------------------------------- colors

const darkness = matchMedia("(prefers-color-scheme: dark)");
let darkColors = {};

// Figures come in light colors; a dark page draws others in their place.
function recolored(value) {
  if (!darkness.matches) return value;
  if (typeof value === "string") return darkColors[value] || value;
  if (Array.isArray(value)) return typeof value[value.length - 1] === "number" ? value : value.map(recolored);
  if (value === null || typeof value !== "object") return value;
  return Object.fromEntries(Object.entries(value).map(([key, one]) => [key, recolored(one)]));
}

// ----------------------------------------------------------------------------------------- tiles, facts, code

function drawTiles(tiles) {
  const main = document.getElementById("main");
  const box = document.getElementById("tiles") || element("div", null, main, "tiles");
  box.id = "tiles";
  box.replaceChildren();
  for (const [label, value, note] of tiles) {
    const tile = element("div", null, box, "tile");
    element("span", label, tile);
    element("b", value, tile);
    element("span", note, tile);
  }
}

const MARKS = { good: ["✓", "fine: "], look: ["!", "look at this: "], unknown: ["?", "unknown: "] };

function drawFacts(box, facts) {
  box.replaceChildren();
  const list = element("ul", null, box, "facts");
  for (const { text, level } of facts) {
    const item = element("li", null, list);
    if (level) {
      const mark = element("span", MARKS[level][0], item, `mark ${level}`);
      mark.setAttribute("role", "img");
      mark.setAttribute("aria-label", MARKS[level][1]);
    }
    element("span", text, item);
  }
}

function drawSparks(box, sparks) {
  box.replaceChildren();
  const list = element("div", null, box, "sparks");
  for (const { name, text, points, range } of sparks) {
    const item = element("div", null, list, "spark");
    element("b", name, item);
    element("span", text, item);
    const end = points.length ? points[points.length - 1][0] : 1;
    const drawing = document.createElementNS("http://www.w3.org/2000/svg", "svg");
    drawing.setAttribute("viewBox", "0 0 200 52");
    drawing.setAttribute("preserveAspectRatio", "none");
    drawing.setAttribute("role", "img");
    drawing.setAttribute("aria-label", `${name}: ${text}`);
    let pen = "M";
    let line = "";
    for (const [step, height] of points) {
      if (height === null) pen = "M";
      else {
        line += `${pen}${((200 * step) / end).toFixed(1)} ${(47 - 42 * height).toFixed(1)}`;
        pen = "L";
      }
    }
    const path = document.createElementNS("http://www.w3.org/2000/svg", "path");
    path.setAttribute("d", line);
    drawing.append(path);
    item.append(drawing);
    element("span", range, item);
  }
}

function drawCode(box, codes) {
  box.replaceChildren();
  if (!codes.length) {
    element("p", "No trial is completed.", box, "empty");
    return;
  }
  const chosen = box.dataset.chosen || codes[0].name;
  const tabs = element("div", null, box, "tabs");
  tabs.setAttribute("role", "tablist");
  const panel = element("div", null, box, "code");
  panel.setAttribute("role", "tabpanel");
  panel.id = "code-panel";
  const choose = (index, focus) => {
    const { name, about, text } = codes[index];
    box.dataset.chosen = name;
    [...tabs.children].forEach((tab, i) => {
      tab.setAttribute("aria-selected", i === index);
      tab.tabIndex = i === index ? 0 : -1;
      if (i === index && focus) tab.focus();
    });
    panel.replaceChildren();
    panel.setAttribute("aria-label", name);
    const copy = element("button", "Copy", panel, "copy");
    copy.setAttribute("aria-live", "polite");
    element("p", about, panel, "about");
    const code = element("pre", text, panel);
    code.tabIndex = 0;
    copy.addEventListener("click", async () => {
      try {
        await navigator.clipboard.writeText(text);
        copy.textContent = "Copied";
      } catch {
        getSelection().selectAllChildren(code); // a page from another machine may not use the clipboard
        copy.textContent = "Selected: press Ctrl+C";
      }
    });
  };
  codes.forEach(({ name }, i) => {
    const tab = element("button", name, tabs);
    tab.setAttribute("role", "tab");
    tab.setAttribute("aria-controls", panel.id);
    tab.addEventListener("click", () => choose(i, false));
    tab.addEventListener("keydown", (event) => {
      const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
      if (step) choose((i + step + codes.length) % codes.length, true);
    });
  });
  choose(Math.max(0, codes.findIndex(({ name }) => name === chosen)), false);
}

// ----------------------------------------------------------------------------------------------------- tables

const ROWS = 100; // more of them on demand

function compare(a, b) {
  if (a === b) return 0;
  if (a === null || a === undefined) return 1; // last in both directions
  if (b === null || b === undefined) return -1;
  return typeof a === "number" && typeof b === "number" ? a - b : String(a).localeCompare(String(b));
}

function drawTable(box, table) {
  const before = box.querySelector(".scroll");
  const [left, top] = before ? [before.scrollLeft, before.scrollTop] : [0, 0];
  box.replaceChildren();
  if (!table.rows.length) {
    element("p", table.empty, box, "empty");
    return;
  }
  const kept = box.sorting || { column: null, down: false, count: ROWS };
  box.sorting = kept;
  const frame = element("div", null, box, "scroll");
  frame.tabIndex = 0;
  frame.setAttribute("role", "region");
  frame.setAttribute("aria-label", table.label || "table");
  const made = element("table", null, frame);
  const head = element("tr", null, element("thead", null, made));
  const body = element("tbody", null, made);
  const more = element("button", null, box, "more");
  const numeric = table.columns.map((_, i) => table.rows.every((row) => row[i] === null || typeof row[i] === "number"));
  const fill = () => {
    let rows = table.rows;
    if (kept.column !== null) {
      const [i, sign] = [kept.column, kept.down ? -1 : 1];
      const known = rows.filter((row) => row[i] !== null && row[i] !== undefined);
      const unknown = rows.filter((row) => row[i] === null || row[i] === undefined);
      rows = [...known.sort((a, b) => sign * compare(a[i], b[i])), ...unknown];
    }
    body.replaceChildren();
    for (const row of rows.slice(0, kept.count)) {
      const line = element("tr", null, body);
      row.forEach((cell, i) => {
        const text = shown(cell);
        element("td", text, line, numeric[i] ? "number" : text.length > 24 || text.includes("\n") ? "long" : "");
      });
    }
    [...head.children].forEach((cell, i) => {
      if (table.sort) cell.setAttribute("aria-sort", i !== kept.column ? "none" : kept.down ? "descending" : "ascending");
    });
    more.hidden = rows.length <= kept.count;
    more.textContent = `Show ${Math.min(10 * ROWS, rows.length - kept.count)} more of ${rows.length.toLocaleString("en")} rows`;
  };
  table.columns.forEach((name, i) => {
    const cell = element("th", table.sort ? null : name, head, numeric[i] ? "number" : name.length > 24 ? "long" : "");
    cell.scope = "col";
    if (!table.sort) return;
    element("button", name, cell).addEventListener("click", () => {
      kept.down = kept.column === i && !kept.down;
      kept.column = i;
      fill();
    });
  });
  more.addEventListener("click", () => {
    kept.count += 10 * ROWS;
    fill();
  });
  fill();
  frame.scrollTo(left, top);
}

// ---------------------------------------------------------------------------------------------------- figures

function plain(text) {
  // Texts of figures are escaped for Plotly, which reads some HTML.
  return String(text ?? "").replace(/<br>/g, "; ").replace(/<[^>]*>/g, "").replace(/&lt;/g, "<").replace(/&gt;/g, ">").replace(/&amp;/g, "&");
}

// A figure as a table, for those who cannot see it.
function tableOf(figure) {
  const { xaxis, yaxis } = figure.layout;
  const titleOf = (axis, name) => (axis && axis.title && axis.title.text) || name;
  const columns = [
    { name: "what", of: (trace) => plain(trace.name) },
    { name: "hyperparameter", of: (trace) => plain(trace.meta), hidden: !figure.data.some((trace) => trace.meta) },
    { name: titleOf(xaxis, "value"), of: (trace, i) => trace.x[i] },
    { name: titleOf(yaxis, "value"), of: (trace, i) => trace.y[i], hidden: yaxis && yaxis.visible === false },
    { name: "details", of: (trace, i) => (Array.isArray(trace.text) ? plain(trace.text[i]) : "") },
  ].filter((column) => !column.hidden);
  const rows = [];
  for (const trace of figure.data) {
    if (trace.hoverinfo === "skip") continue;
    const x = trace.x || [];
    for (let i = 0; i < x.length; i += 1) {
      if (x[i] === null || trace.y[i] === null) continue;
      rows.push(columns.map((column) => column.of(trace, i)));
    }
  }
  return { columns: columns.map((column) => column.name), rows, sort: true, empty: "There is nothing to show yet." };
}

function drawHeat(box, { data: [trace], layout }) {
  // A table is a heat map that everybody can read.
  box.replaceChildren();
  const made = element("table", null, box, "heat");
  const head = element("tr", null, element("thead", null, made));
  element("td", null, head).style.visibility = "hidden";
  for (const name of trace.x) element("th", name, head).scope = "col";
  const body = element("tbody", null, made);
  for (let row = trace.y.length - 1; row >= 0; row -= 1) {
    const line = element("tr", null, body);
    element("th", plain(layout.yaxis.ticktext[row]), line).scope = "row";
    trace.z[row].forEach((share, i) => {
      const cell = element("td", trace.text[row][i], line);
      cell.title = plain(trace.customdata[row][i]);
      if (share) cell.style.background = `color-mix(in srgb, var(--calm) ${Math.round(12 + 30 * share)}%, var(--card))`;
    });
  }
  element("p", plain(layout.xaxis.title.text), box, "hint");
}

// The panels of a figure one below the other, for a narrow screen.
function stacked(layout) {
  const { panels } = layout.meta;
  const [row, gap] = [190, 58];
  const height = panels * row + (panels - 1) * gap;
  const top = (i) => 1 - (i * (row + gap)) / height;
  const changed = { ...layout, height: height + layout.margin.t + layout.margin.b, meta: { ...layout.meta, leastWidth: 0 } };
  changed.legend = { ...layout.legend, y: 1 + 26 / height };
  for (let i = 0; i < panels; i += 1) {
    const [x, y] = [`xaxis${i ? i + 1 : ""}`, `yaxis${i ? i + 1 : ""}`];
    changed[x] = { ...layout[x], domain: [0, 1], title: i === panels - 1 ? layout[x].title : {} };
    changed[y] = { ...layout[y], domain: [Math.max(0, top(i) - row / height), top(i)], showticklabels: true };
  }
  changed.annotations = layout.annotations.map((one) => {
    const y = top(Number(one.name));
    return one.xanchor === "left" ? { ...one, x: 0, y } : { ...one, x: 0.5, y: y - row / height / 2 };
  });
  return changed;
}

function drawPlot(box, section) {
  const { figure } = section;
  const narrow = document.documentElement.clientWidth < 620;
  if (!box._fullLayout) box.replaceChildren();
  let { data, layout } = recolored(figure);
  if (narrow) {
    data = data.map((trace) => (trace.marker ? { ...trace, marker: { ...trace.marker, showscale: false } } : trace));
    layout = { ...layout, margin: { ...layout.margin, l: Math.min(48, layout.margin.l), r: 8 } };
    if (layout.meta.panels > 1) layout = stacked(layout);
  }
  box.style.height = `${layout.height}px`;
  box.style.minWidth = `${layout.meta.leastWidth}px`;
  Plotly.react(box, data, layout, {
    responsive: true,
    displaylogo: false,
    displayModeBar: narrow ? false : "hover",
    showSendToCloud: false, // keeps the run private
    plotlyServerURL: "",
    scrollZoom: layout.dragmode === "pan",
    modeBarButtonsToRemove: ["select2d", "lasso2d", "autoScale2d"],
    toImageButtonOptions: { format: "svg", filename: `gpbt-${section.id}` },
  });
}

function drawFigure(box, section) {
  const { figure } = section;
  const kind = figure.data.length ? figure.data[0].type : "none";
  if (box._fullLayout && kind !== "scatter" && kind !== "bar") Plotly.purge(box);
  box.style.height = box.style.minWidth = "";
  if (kind === "none") {
    box.replaceChildren();
    element("p", section.empty, box, "empty");
  } else if (kind === "heatmap") drawHeat(box, figure);
  else if (kind === "parcoords") drawParallel(box, figure);
  else drawPlot(box, section);
  const frame = box.parentElement;
  box.hint.hidden = frame.scrollWidth <= frame.clientWidth + 1;
}

// --------------------------------------------------------------------------------------- parallel coordinates

function colorAt(scale, share) {
  const at = Math.min(scale.length - 2, Math.floor(share * (scale.length - 1)));
  const part = share * (scale.length - 1) - at;
  const channels = [scale[at][1], scale[at + 1][1]].map((one) => [1, 3, 5].map((i) => parseInt(one.slice(i, i + 2), 16)));
  return `rgb(${channels[0].map((one, i) => Math.round(one + part * (channels[1][i] - one))).join()})`;
}

// Draws on a canvas: each line once when something changes, lines outside the selected ranges pale.
function drawParallel(box, figure) {
  const trace = recolored(figure.data[0]);
  const styles = getComputedStyle(document.documentElement);
  const color = (name) => styles.getPropertyValue(name).trim();
  const brushes = box.brushes || new Map(); // by label, so that new trials keep them
  box.brushes = brushes;
  box.replaceChildren();
  const width = Math.max(figure.layout.meta.leastWidth, box.parentElement.clientWidth);
  const height = figure.layout.height;
  box.style.minWidth = `${figure.layout.meta.leastWidth}px`;
  const canvas = element("canvas", null, box);
  const status = element("p", null, box, "hint");
  status.setAttribute("aria-live", "polite");
  const density = window.devicePixelRatio || 1;
  canvas.width = width * density;
  canvas.height = height * density;
  canvas.style.width = `${width}px`;
  canvas.style.height = `${height}px`;
  const pen = canvas.getContext("2d");
  pen.scale(density, density);
  const [top, bottom] = [54, height - 18];
  const axes = trace.dimensions.map((dimension, i) => ({
    ...dimension,
    name: plain(dimension.label),
    x: 50 + (i * (width - 110)) / Math.max(1, trace.dimensions.length - 1),
  }));
  const place = (axis, value) => bottom - ((value - axis.range[0]) / (axis.range[1] - axis.range[0])) * (bottom - top);
  const scores = trace.line.color;
  const { cmin, cmax, colorscale } = trace.line;
  const shades = scores.map((score) => {
    const share = cmax > cmin ? Math.min(1, Math.max(0, (score - cmin) / (cmax - cmin))) : 0;
    return colorAt(colorscale, Math.round(share * 20) / 20);
  });
  const lines = scores.map((_, i) => axes.map((axis) => place(axis, axis.values[i])));
  const stroke = (chosen, shade, alpha) => {
    pen.globalAlpha = alpha;
    pen.strokeStyle = shade;
    pen.beginPath();
    for (const i of chosen) {
      pen.moveTo(axes[0].x, lines[i][0]);
      for (let j = 1; j < axes.length; j += 1) pen.lineTo(axes[j].x, lines[i][j]);
    }
    pen.stroke();
  };
  const paint = () => {
    pen.clearRect(0, 0, width, height);
    const limits = axes.map((axis) => brushes.get(axis.name));
    const inside = (i) => limits.every((one, j) => !one || (axes[j].values[i] >= one[0] && axes[j].values[i] <= one[1]));
    const groups = new Map();
    const others = [];
    scores.forEach((_, i) => {
      if (!inside(i)) others.push(i);
      else if (groups.has(shades[i])) groups.get(shades[i]).push(i);
      else groups.set(shades[i], [i]);
    });
    pen.lineWidth = 1;
    stroke(others, color("--line"), 0.4);
    pen.lineWidth = scores.length > 1000 ? 0.8 : 1.4;
    for (const [shade, chosen] of groups) stroke(chosen, shade, scores.length > 1000 ? 0.5 : 0.75);
    pen.globalAlpha = 1;
    pen.textBaseline = "middle";
    for (const axis of axes) {
      pen.strokeStyle = color("--muted");
      pen.lineWidth = 1;
      pen.beginPath();
      pen.moveTo(axis.x, top);
      pen.lineTo(axis.x, bottom);
      pen.stroke();
      pen.font = "11px system-ui, sans-serif";
      pen.textAlign = "left";
      axis.tickvals.forEach((value, i) => {
        const text = axis.ticktext ? axis.ticktext[i] : shown(value);
        const y = place(axis, value);
        if (y < top - 1 || y > bottom + 1) return;
        pen.strokeStyle = color("--card"); // a halo, so that lines do not cross the text
        pen.lineWidth = 3;
        pen.strokeText(text, axis.x + 5, y);
        pen.fillStyle = color("--ink");
        pen.fillText(text, axis.x + 5, y);
      });
      pen.font = "12px system-ui, sans-serif";
      pen.textAlign = "center";
      pen.fillStyle = color("--ink");
      const level = axes.indexOf(axis) % 2 && axes.length > 8 ? 16 : 34; // two rows of names, where they are many
      pen.fillText(axis.name, axis.x, level);
      const limit = brushes.get(axis.name);
      if (limit) {
        pen.fillStyle = color("--best");
        pen.globalAlpha = 0.35;
        pen.fillRect(axis.x - 6, place(axis, limit[1]), 12, place(axis, limit[0]) - place(axis, limit[1]));
        pen.globalAlpha = 1;
      }
    }
    const count = scores.length - others.length;
    status.textContent = brushes.size ? `${count.toLocaleString("en")} of ${scores.length.toLocaleString("en")} trials selected.` : "";
  };
  const nearest = (x) => axes.reduce((a, b) => (Math.abs(b.x - x) < Math.abs(a.x - x) ? b : a));
  const valueAt = (axis, y) => axis.range[0] + ((bottom - Math.min(bottom, Math.max(top, y))) / (bottom - top)) * (axis.range[1] - axis.range[0]);
  let held = null;
  canvas.addEventListener("pointerdown", (event) => {
    held = { axis: nearest(event.offsetX), from: event.offsetY };
    canvas.setPointerCapture(event.pointerId);
  });
  canvas.addEventListener("pointermove", (event) => {
    if (!held || Math.abs(event.offsetY - held.from) < 4) return;
    const ends = [valueAt(held.axis, held.from), valueAt(held.axis, event.offsetY)].sort((a, b) => a - b);
    brushes.set(held.axis.name, ends);
    requestAnimationFrame(paint);
  });
  canvas.addEventListener("pointerup", () => {
    held = null;
  });
  canvas.addEventListener("dblclick", (event) => {
    brushes.delete(nearest(event.offsetX).name);
    paint();
  });
  paint();
}

// ------------------------------------------------------------------------------------------ drawing in time

// Draws figures and tables only when they come near the window; otherwise most time would go into those that nobody
// looks at.
const undrawn = new Map();
const near = new Set();
const observer = new IntersectionObserver(
  (entries) => {
    for (const { target, isIntersecting } of entries) {
      if (isIntersecting) near.add(target);
      else near.delete(target);
      catchUp(target);
    }
  },
  { rootMargin: "400px" },
);

function catchUp(box) {
  if (!near.has(box) || !undrawn.has(box)) return;
  const draw = undrawn.get(box);
  undrawn.delete(box);
  draw();
}

window.addEventListener("beforeprint", () => {
  for (const draw of undrawn.values()) draw();
  undrawn.clear();
});

function soon(box, draw) {
  undrawn.set(box, draw);
  catchUp(box);
}

// -------------------------------------------------------------------------------------------------- sections

function made(section, parent) {
  const box = element("section", null, parent);
  box.id = section.id;
  if (section.title) {
    element("h3", null, box).id = `${section.id}-title`;
    box.setAttribute("aria-labelledby", `${section.id}-title`);
  }
  element("p", null, box, "about");
  if (!section.figure) {
    observer.observe(element("div", null, box, "body"));
    return box;
  }
  const hint = element("p", "Scroll the figure sideways to see all of it.", box, "hint");
  hint.hidden = true;
  const frame = element("div", null, box, "wide");
  const figure = element("figure", null, frame, "body plot");
  figure.hint = hint;
  figure.setAttribute("aria-label", section.title);
  observer.observe(figure);
  // Without Ctrl the wheel scrolls the page; otherwise scrolling would stop at the first figure.
  figure.addEventListener("wheel", (event) => event.ctrlKey || event.metaKey || event.stopPropagation(), { capture: true });
  const details = element("details", null, box);
  element("summary", "as a table", details);
  const table = element("div", null, details);
  details.fill = () => {
    if (details.open) drawTable(table, { ...tableOf(details.figure), label: section.title });
  };
  details.addEventListener("toggle", details.fill);
  return box;
}

function drawSection(section, parent, again) {
  const box = document.getElementById(section.id) || made(section, parent);
  const key = JSON.stringify(section);
  if (box.key === key && !again) return; // what has not changed keeps its hover texts and selections
  box.key = key;
  if (section.title) box.querySelector("h3").textContent = section.title;
  const about = box.querySelector(".about");
  about.textContent = section.about;
  about.hidden = !section.about;
  const body = box.querySelector(".body");
  if (section.figure) {
    const details = box.querySelector("details");
    const kind = section.figure.data.length ? section.figure.data[0].type : "none";
    details.hidden = kind !== "scatter" && kind !== "bar"; // the others are a table, or have one
    details.figure = section.figure;
    details.fill();
    if (!body._fullLayout && section.figure.data.length && kind !== "heatmap") body.style.height = `${section.figure.layout.height}px`;
    soon(body, () => drawFigure(body, section));
  } else if (section.facts) drawFacts(body, section.facts);
  else if (section.sparks) drawSparks(body, section.sparks);
  else if (section.code) drawCode(body, section.code);
  else soon(body, () => drawTable(body, { ...section.table, label: section.title }));
}

function drawGroup(group, again) {
  let box = document.getElementById(group.id);
  if (!box) {
    box = element("div", null, document.getElementById("main"), `group ${group.half ? "half" : ""} ${group.columns === 2 ? "two" : ""}`);
    box.id = group.id;
    box.setAttribute("role", "region");
    box.setAttribute("aria-label", group.title);
    element("h2", group.title, box);
    element("div", null, box, "sections");
    const link = element("a", group.title, document.getElementById("groups"));
    link.href = `#${group.id}`;
  }
  for (const section of group.sections) drawSection(section, box.querySelector(".sections"), again);
}

let last = null;

function draw(run, again = false) {
  last = run;
  darkColors = run.dark;
  document.title = run.title;
  document.getElementById("title").textContent = run.title;
  document.getElementById("subtitle").textContent = run.subtitle;
  drawTiles(run.tiles);
  for (const group of run.groups) drawGroup(group, again);
  document.getElementById("footer").textContent = run.footer;
}

function redraw() {
  if (last) draw(last, true);
}

darkness.addEventListener("change", redraw);
let width = document.documentElement.clientWidth;
window.addEventListener("resize", () => {
  const now = document.documentElement.clientWidth;
  if (now !== width) redraw(); // on a phone, the height changes while one scrolls
  width = now;
});

// ------------------------------------------------------------------------------------------------- dashboard

function drawStudies(studies, current) {
  const nav = document.getElementById("studies");
  if (nav.childElementCount === studies.length && nav.dataset.shown === current) return;
  nav.dataset.shown = current;
  nav.replaceChildren();
  for (const name of studies) {
    const link = element("a", name, nav);
    link.href = `?study=${encodeURIComponent(name)}`;
    if (name === current) link.setAttribute("aria-current", "page");
  }
}

async function follow() {
  // The server sends the data again only after a change. The pause grows with the work, so that a large run leaves
  // the browser and the server time for other things.
  let known = "";
  const wanted = new URLSearchParams(location.search).get("study");
  let study = wanted;
  for (;;) {
    const start = performance.now();
    try {
      const query = new URLSearchParams({ known });
      if (study !== null) query.set("study", study);
      const answer = await fetch(`api/run?${query}`, { cache: "no-store" });
      const data = await answer.json();
      if (answer.status === 404) study = wanted; // the file was replaced: show what it has now
      if (!answer.ok) throw new Error(data.error);
      drawStudies(data.studies, data.study);
      say(data.study === null ? "There is no study in this journal yet." : "");
      if (data.run) draw(data.run);
      study = data.study;
      known = data.known;
    } catch (error) {
      say(`Not up to date: ${error.message}`);
    }
    const pause = Math.min(30000, Math.max(1000, 4 * (performance.now() - start)));
    await new Promise((resolve) => setTimeout(resolve, pause));
  }
}

const embedded = document.getElementById("run");
if (embedded) draw(JSON.parse(embedded.textContent));
else follow();
