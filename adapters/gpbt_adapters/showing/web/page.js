"use strict";
// Draws a run from its data, which are embedded in the page or fetched repeatedly. Every text goes through
// textContent, so no content of a run is ever interpreted as HTML.

const hasWebGL = (() => {
  try {
    return Boolean(document.createElement("canvas").getContext("webgl"));
  } catch {
    return false;
  }
})();

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

function drawTable(box, table) {
  box.replaceChildren();
  if (!table.rows.length) {
    element("p", table.empty, box, "empty");
    return;
  }
  const made = element("table", null, element("div", null, box, "scroll"));
  const head = element("tr", null, element("thead", null, made));
  for (const name of table.columns) element("th", name, head, name.length > 24 ? "long" : "");
  const body = element("tbody", null, made);
  for (const row of table.rows) {
    const line = element("tr", null, body);
    for (const cell of row) element("td", cell, line, cell.length > 24 || cell.includes("\n") ? "long" : "");
  }
}

function drawFigure(box, figure, empty, name) {
  const needsWebGL = figure.data.some((trace) => trace.type === "parcoords");
  if (!figure.data.length || (needsWebGL && !hasWebGL)) {
    if (box._fullLayout) Plotly.purge(box);
    box.replaceChildren();
    box.style.height = box.style.minWidth = "";
    const text = figure.data.length ? "This plot needs WebGL, which this browser does not offer." : empty;
    element("p", text, box, "empty");
    return;
  }
  if (!box._fullLayout) box.replaceChildren();
  const data = figure.data.map((trace) =>
    trace.type === "scattergl" && !hasWebGL ? { ...trace, type: "scatter" } : trace,
  );
  box.style.height = `${figure.layout.height}px`;
  box.style.minWidth = `${figure.layout.meta.leastWidth}px`;
  const config = {
    responsive: true,
    displaylogo: false,
    displayModeBar: needsWebGL ? false : "hover",
    showSendToCloud: false, // keeps the run private
    plotlyServerURL: "",
    scrollZoom: figure.layout.dragmode === "pan",
    modeBarButtonsToRemove: ["select2d", "lasso2d", "autoScale2d"],
    toImageButtonOptions: { format: "svg", filename: `gpbt-${name}` },
  };
  Plotly.react(box, data, figure.layout, config);
}

// Draws plots only when they come near the window; otherwise most time would go into plots that nobody looks at.
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
  { rootMargin: "500px" },
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

function drawSoon(box, section) {
  if (!box._fullLayout && section.figure.data.length) box.style.height = `${section.figure.layout.height}px`;
  undrawn.set(box, () => drawFigure(box, section.figure, section.empty, section.id));
  catchUp(box);
}

function drawSection(section) {
  const main = document.getElementById("main");
  let made = document.getElementById(section.id);
  if (!made) {
    made = element("section", null, main);
    made.id = section.id;
    element("h2", null, made);
    element("p", null, made, "about");
    if (section.figure) {
      const box = element("div", null, element("div", null, made, "wide"), "plot");
      // Without Ctrl the wheel scrolls the page; otherwise scrolling would stop at the first figure.
      observer.observe(box);
      box.addEventListener("wheel", (event) => event.ctrlKey || event.metaKey || event.stopPropagation(), { capture: true });
    } else {
      element("div", null, made, "table");
    }
  }
  const [title, about, last] = made.children;
  title.textContent = section.title;
  about.textContent = section.about;
  if (section.figure) drawSoon(last.firstChild, section);
  else drawTable(last, section.table);
}

function draw(run) {
  document.title = run.title;
  document.getElementById("title").textContent = run.title;
  document.getElementById("subtitle").textContent = run.subtitle;
  drawTiles(run.tiles);
  for (const section of run.sections) drawSection(section);
  const footer = document.getElementById("footer") || element("footer", null, document.getElementById("main"));
  footer.id = "footer";
  footer.textContent = run.footer;
}

function drawStudies(studies, shown) {
  const nav = document.getElementById("studies");
  if (nav.childElementCount === studies.length && nav.dataset.shown === shown) return;
  nav.dataset.shown = shown;
  nav.replaceChildren();
  for (const name of studies) {
    const link = element("a", name, nav);
    link.href = `?study=${encodeURIComponent(name)}`;
    if (name === shown) link.setAttribute("aria-current", "page");
  }
}

async function follow() {
  // The server sends the data again only after a change. The pause grows with the work, so that a large run leaves
  // the browser and the server time for other things.
  let known = "";
  let study = new URLSearchParams(location.search).get("study");
  for (;;) {
    const start = performance.now();
    try {
      const query = new URLSearchParams({ known });
      if (study !== null) query.set("study", study);
      const answer = await fetch(`api/run?${query}`, { cache: "no-store" });
      const data = await answer.json();
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
say("");
if (embedded) draw(JSON.parse(embedded.textContent));
else follow();
