// The console. What it shows comes from the server as figures and tables; all of it is inserted as text.
"use strict";

const REMEMBERED = 300; // points of the chart: one a second
const SHORTEST = 60; // points for which the chart has room at first
const RETRY = 5000; // milliseconds after which a refused stream is asked for again

const byId = (id) => document.getElementById(id);

function make(name, properties, ...children) {
  const element = Object.assign(document.createElement(name), properties);
  element.append(...children);
  return element;
}

// A path that may wrap before each slash.
const breakable = (text) => text.split(/(?=\/)/).flatMap((part) => [make("wbr", {}), part]);

// Only what differs is touched, so that a selection, the focus and what is scrolled stay.
function write(element, text, className) {
  if (element.textContent !== text) element.replaceChildren(...breakable(text));
  if (element.className !== className) element.className = className;
}

// Let an element have this many children; what is missing is made.
function fit(element, count, makeChild) {
  while (element.children.length > count) element.lastElementChild.remove();
  while (element.children.length < count) element.append(makeChild(element.children.length));
  return [...element.children];
}

function showFigures(figures) {
  const blank = () =>
    make("div", {}, make("dt", {}), make("dd", { className: "value" }, make("span", {})), make("dd", {}));
  const boxes = fit(byId("figures"), figures.length, blank);
  figures.forEach(([name, [text, level], note], number) => {
    const [term, value, explanation] = boxes[number].children;
    write(term, name, "");
    write(value.firstElementChild, text, level);
    write(explanation, note, "soft");
  });
}

const labelOf = (heading) => heading.replace(/^# /, "");
const classOf = (heading) => (heading?.startsWith("# ") ? "number" : "");

function makePanel({ name, title, note, columns }) {
  const headings = columns.map((heading) =>
    make("th", { scope: "col", className: classOf(heading) }, labelOf(heading)),
  );
  const head = columns.length ? [make("thead", {}, make("tr", {}, ...headings))] : [];
  const heading = make("h2", { id: `${name}-title` }, title);
  const table = make("table", {}, ...head, make("tbody", {}));
  table.setAttribute("aria-labelledby", heading.id);
  const kind = columns.length > 4 ? "wide" : columns.length ? "" : "facts";
  const empty = make("p", { className: "soft empty", hidden: true }, "None.");
  const section = make("section", { id: name, className: kind, tabIndex: -1 });
  section.setAttribute("aria-labelledby", heading.id);
  section.append(heading, make("p", { className: "soft" }, note), table, empty);
  byId("contents").append(make("a", { href: `#${name}` }, title));
  return section;
}

function makeCell(columns, number) {
  if (number === 0) return make("th", { scope: "row" }, make("span", {}));
  const heading = make("span", { className: "heading" }, labelOf(columns[number] || ""));
  heading.setAttribute("aria-hidden", "true");
  return make("td", { className: classOf(columns[number]) }, ...(columns.length > 4 ? [heading] : []), make("span", {}));
}

function showPanel(panel) {
  const section = byId(panel.name) || byId("panels").appendChild(makePanel(panel));
  const body = section.querySelector("tbody");
  const rows = fit(body, panel.rows.length, () => make("tr", {}));
  panel.rows.forEach((cells, place) => {
    const made = fit(rows[place], cells.length, (number) => makeCell(panel.columns, number));
    cells.forEach(([text, level], number) => write(made[number].lastElementChild, text, level));
  });
  section.querySelector(".empty").hidden = panel.rows.length > 0;
  section.querySelector("table").hidden = panel.rows.length === 0;
}

const past = []; // [requests, failures] per second

function showChart(rate, failures) {
  past.push([rate, failures]);
  if (past.length > REMEMBERED) past.shift();
  const span = Math.max(SHORTEST, past.length);
  const highest = Math.max(1, ...past.map(([requests]) => requests));
  ["rate", "failures"].forEach((name, place) => {
    const points = past.map((one, number) => {
      const [x, y] = [(300 * (span - past.length + number + 1)) / span, 58 - (55 * one[place]) / highest];
      return `${x.toFixed(1)},${y.toFixed(1)}`;
    });
    byId(name).setAttribute("points", points.join(" "));
  });
  byId("highest").textContent = Math.max(...past.map(([requests]) => requests)).toFixed(1);
}

function show(snapshot) {
  write(byId("state"), ...snapshot.state);
  byId("at").textContent = `${snapshot.at.slice(11, 19)} UTC`;
  showFigures(snapshot.figures);
  showChart(snapshot.rate, snapshot.failures);
  snapshot.panels.forEach(showPanel);
}

let stream = null;
let retry = 0;

function disconnect() {
  clearTimeout(retry);
  stream?.close();
  stream = null;
}

function connect() {
  disconnect();
  stream = new EventSource("console/events");
  stream.addEventListener("message", (event) => show(JSON.parse(event.data)));
  stream.addEventListener("error", () => {
    write(byId("state"), "no connection: the server is away, or eight pages are open", "bad");
    if (stream?.readyState === EventSource.CLOSED) retry = setTimeout(connect, RETRY);
  });
}

// The server works for this page only while somebody can see it.
function follow() {
  const isPaused = byId("pause").getAttribute("aria-pressed") === "true";
  if (document.hidden || isPaused) disconnect();
  else if (!stream) connect();
}

byId("pause").addEventListener("click", () => {
  const isPaused = byId("pause").getAttribute("aria-pressed") !== "true";
  byId("pause").setAttribute("aria-pressed", String(isPaused));
  if (isPaused) write(byId("state"), "paused", "");
  follow();
});
document.addEventListener("visibilitychange", follow);
follow();
