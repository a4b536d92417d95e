// The wire panel: every request and frame of this page, as it happens.

const MOST_ROWS = 100;

const started = performance.now();
const totals = { requests: 0, sockets: 0, frames: 0, bytes: 0 };
const utf8 = new TextEncoder();

function add(direction, what, text = "") {
  const bytes = utf8.encode(text).length;
  totals.bytes += bytes;

  const seconds = (performance.now() - started) / 1000;
  const row = document.createElement("tr");
  for (const cell of [`${seconds.toFixed(3)} s`, direction, what, bytes]) {
    row.insertCell().textContent = cell;
  }
  const rows = document.getElementById("wire-rows");
  rows.prepend(row);
  if (rows.rows.length > MOST_ROWS) rows.lastElementChild.remove();
  showTotals();
}

export function showTotals() {
  const { requests, sockets, frames, bytes } = totals;
  document.getElementById("totals").textContent =
    `${count(requests, "request")}, ${count(sockets, "socket")}, ` +
    `${count(frames, "frame")}, ${count(bytes, "byte")}`;
}

function count(number, noun) {
  return `${number} ${noun}${number === 1 ? "" : "s"}`;
}

// Like fetch(), and shown in the panel. Resolves to { status, body }; status 0 is no answer.
export async function request(method, path, { json, signal, headers = {} } = {}) {
  if (json) headers = { ...headers, "Content-Type": "application/json" };
  const body = json && JSON.stringify(json);
  totals.requests += 1;
  add("→ sent", `${method} ${path}`, body);
  try {
    const answer = await fetch(path, { method, headers, body, signal });
    const text = await answer.text();
    add("← received", `${answer.status} ${answer.statusText}`, text);
    return { status: answer.status, body: parse(text) };
  } catch (error) {
    add("✕ ended", `${error.name}: ${error.message}`);
    return { status: 0, body: { detail: "The server does not answer." } };
  }
}

// What is no JSON object becomes one, so that those who read it find no field, and no error.
export function parse(text) {
  try {
    const value = JSON.parse(text);
    return value instanceof Object ? value : { detail: text };
  } catch {
    return { detail: text };
  }
}

// Like new WebSocket(), and shown in the panel.
export function openSocket(path) {
  const socket = new WebSocket(location.origin.replace(/^http/, "ws") + path);
  totals.sockets += 1;
  add("→ sent", `WebSocket ${path}`);
  socket.addEventListener("open", () => add("← received", "101 Switching Protocols"));
  socket.addEventListener("message", (event) => {
    totals.frames += 1;
    add("← received", `frame ${event.data}`, event.data);
  });
  socket.addEventListener("close", (event) => add("✕ ended", `closed with ${event.code}`));
  return socket;
}
