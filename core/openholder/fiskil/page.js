// The page of the stand-in for Fiskil. All values are inserted as text: Trusted Types forbid anything else.
"use strict";

const MOST_CHARACTERS = 200000; // of a response; longer ones are cut, because showing them takes seconds

const byId = (id) => document.getElementById(id);

function make(name, properties, ...children) {
  const element = Object.assign(document.createElement(name), properties);
  element.append(...children);
  return element;
}

// Fill the ids of a template in; the fields that are still empty are returned as well.
function fill(template, fields, encode) {
  const missing = [];
  const text = template.replace(/\{(\w+)\}/g, (_, name) => {
    const value = fields[name].value.trim();
    if (!value) missing.push(fields[name]);
    return encode(value);
  });
  return { text, missing };
}

const insideJson = (value) => JSON.stringify(value).slice(1, -1);

function decodePart(part) {
  const bytes = Uint8Array.from(atob(part.replace(/-/g, "+").replace(/_/g, "/")), (one) => one.charCodeAt(0));
  return JSON.stringify(JSON.parse(new TextDecoder().decode(bytes)), null, 2);
}

const quote = (text) => `'${text.replace(/'/g, `'\\''`)}'`;

// A path that may wrap before each slash.
const breakable = (path) => path.split(/(?=\/)/).flatMap((part) => [make("wbr", {}), part]);

const isNarrow = matchMedia("(max-width: 859px)"); // one column, as in page.css

function showStatus(text, kind) {
  byId("status").textContent = text;
  byId("status").className = kind;
}

async function readAnswer(response) {
  const media = response.headers.get("Content-Type") || "nothing";
  if (!media.includes("json")) return `${media}, ${(await response.arrayBuffer()).byteLength} bytes`;
  const text = JSON.stringify(JSON.parse(await response.text()), null, 2);
  return text.length > MOST_CHARACTERS ? `${text.slice(0, MOST_CHARACTERS)}\n… cut here` : text;
}

let latest = 0; // the number of the last request: a slower answer to an earlier one is not shown

async function send() {
  const number = ++latest;
  const [method, target, body] = [byId("method").value, byId("target").value, byId("body").value];
  const posts = method === "POST";
  byId("body-field").hidden = !posts;
  showStatus("…", "");
  try {
    const began = performance.now();
    const response = await fetch(target, { method, body: posts ? body : undefined, redirect: "error" });
    const answer = await readAnswer(response);
    const inPage = performance.now() - began;
    if (number !== latest) return;
    const server = (response.headers.get("Server-Timing") || "").split("dur=")[1];
    const token = response.headers.get("Openholder-Token");
    const times = server ? `${server} ms in the server, ${inPage.toFixed(1)} ms in all` : "the server was not asked";
    showStatus(`${response.status} · ${times}`, response.ok ? "good" : "bad");
    byId("answer").textContent = answer;
    const [header, claims] = token ? token.split(".").map(decodePart) : ["none", "none"];
    byId("token-header").textContent = header;
    byId("token-claims").textContent = claims;
    const data = posts && body ? ` -d ${quote(body)}` : "";
    byId("curl").textContent = `curl ${posts && !body ? "-X POST " : ""}${quote(location.origin + target)}${data}`;
    byId("result").hidden = false;
  } catch (error) {
    if (number !== latest) return;
    byId("result").hidden = true;
    showStatus(`No response: ${error.message}`, "bad");
  }
}

async function choose(button, operation, fields) {
  const path = fill(operation.path, fields, encodeURIComponent);
  const body = fill(operation.body, fields, insideJson);
  const [missing] = [...path.missing, ...body.missing];
  if (missing) {
    showStatus("Fill in the id first", "bad");
    missing.focus();
    return;
  }
  for (const other of document.querySelectorAll("nav button[aria-current]")) other.removeAttribute("aria-current");
  button.setAttribute("aria-current", "true");
  byId("summary").textContent = operation.summary;
  byId("method").value = operation.method;
  byId("target").value = path.text;
  byId("body").value = body.text;
  byId("query").textContent = `Query parameters: ${operation.query.join(", ")}`;
  byId("query").hidden = operation.query.length === 0;
  await send();
  if (isNarrow.matches) byId("exchange").scrollIntoView(); // now that it is as long as its content
}

function addSector(sector, isFirst) {
  const fields = {};
  const ids = make("div", { className: "ids" });
  for (const [name, value] of Object.entries(sector.ids)) {
    fields[name] = make("input", { value, spellcheck: false, autocomplete: "off" });
    ids.append(make("label", {}, name, fields[name]));
  }
  const buttons = sector.operations.map((operation) => {
    const method = make("span", { className: "method" }, operation.method);
    const path = make("span", { className: "path" }, ...breakable(operation.path));
    const button = make("button", { type: "button" }, method, make("span", {}, operation.summary), path);
    button.dataset.operation = operation.name;
    button.addEventListener("click", () => choose(button, operation, fields));
    return button;
  });
  byId("operations").append(
    make("details", { open: isFirst }, make("summary", {}, sector.heading), ids, ...buttons),
  );
}

// Arrow keys go from one operation to the next, through the sectors that are open.
function moveFocus(event) {
  const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
  if (!step || !event.target.matches("button, summary")) return;
  const stops = [...document.querySelectorAll("nav summary, nav details[open] button")];
  const next = stops[stops.indexOf(event.target) + step];
  if (next) {
    event.preventDefault();
    next.focus();
  }
}

async function start() {
  const { server, sectors } = await (await fetch("operations.json")).json();
  byId("server").textContent = server;
  sectors.forEach((sector, number) => addSector(sector, number < 2));
  byId("operations").addEventListener("keydown", moveFocus);
  byId("request").addEventListener("submit", (event) => {
    event.preventDefault();
    send();
  });
  byId("method").addEventListener("change", () => {
    byId("body-field").hidden = byId("method").value !== "POST";
  });
}

start().catch((error) => showStatus(`The page did not start: ${error.message}`, "bad"));
