// The live diagram: events over a WebSocket, drawn as far as they are in view.

import { followEvents } from "./socket.js";

const KEPT = 10_000; // events
const ROW = 26; // px between two events of the same moment
const PER_MS = 1; // px a millisecond, above that
const FOLD_AFTER = 20; // ms; a longer wait is folded
const FOLD = 30; // px of a folded wait
const LETTER = 6.4; // px, about, of a letter in a label
const MARGIN = 400; // px that are drawn above and below what is in view
const PAGE = 100; // rows of the table
const NEW = 400; // ms for which an event is new
const TAGS = { HTTP: "HTTP", WebSocket: "WS", Redis: "Redis", TCP: "TCP" };
const SHOWN_OF_ID = 4;

const at = (id) => document.getElementById(id);
const diagram = at("diagram");
const picture = at("picture");

const events = new Map(); // by id, in order
let processes = {};
let dropped = 0;
let shown = []; // the events that are drawn: { event, y, waited }
let places = new Map(); // from an event's id to its place in shown
let answered = new Map(); // from a request's id to its answer's
let current = null; // the id of the selected event
let hovered = null;
let paused = false;
let missed = 0; // events since the pause
let tableStart = null; // null: the last page
let isDrawing = false;

// Events come.

followEvents({
  onState({ processes: states, dropped: number }) {
    events.clear();
    answered.clear();
    dropped = number;
    processes = states;
    if (!paused) layOut();
  },
  onEvents(list) {
    let known = false;
    const fresh = [];
    const now = performance.now();
    for (const event of list) {
      known ||= events.has(event.id);
      event.since = events.get(event.id)?.since ?? now;
      if (!events.has(event.id)) fresh.push(event);
      events.set(event.id, event);
      if (event.answers) answered.set(event.answers, event.id);
    }
    dropOldest();
    if (paused) {
      missed += fresh.length;
      showPause();
      return;
    }
    // An event that has changed may now belong to a task, or to another.
    known ? layOut() : append(fresh);
  },
  onProcesses(states) {
    processes = states;
    draw();
  },
  onConnection(text) {
    at("connection").textContent = text;
  },
});

function dropOldest() {
  for (const [id] of events) {
    if (events.size <= KEPT) return;
    events.delete(id);
    answered.delete(id);
    dropped += 1;
  }
}

// What is shown, and where.

function isShown(event) {
  const task = at("task").value;
  return (at("noise").checked || !event.is_noise) && (!task || event.task_id === task);
}

function layOut() {
  shown = [];
  places = new Map();
  append([...events.values()]);
}

function append(list) {
  if (shown.length && !events.has(shown[0].event.id)) {
    shown = [];
    places = new Map();
    list = [...events.values()];
  }
  for (const event of list.filter(isShown)) {
    const last = shown.at(-1);
    const gap = last ? Math.max(0, (event.time - last.event.time) / 1e6) : 0;
    const waited = gap > FOLD_AFTER ? gap : null;
    const y = last ? last.y + ROW + (waited === null ? gap * PER_MS : FOLD) : 1.5 * ROW;
    places.set(event.id, shown.length);
    shown.push({ event, y, waited });
  }
  showTasks();
  showNumbers();
  draw();
  if (at("follow").checked) scrollTo(shown.length - 1);
}

function showTasks() {
  const select = at("task");
  const known = new Set([...select.options].map((option) => option.value));
  const ids = new Set();
  for (const event of events.values()) if (event.task_id) ids.add(event.task_id);
  for (const id of ids) {
    if (!known.has(id)) select.add(new Option(`${id.slice(0, 8)}…`, id));
  }
  for (const option of [...select.options]) {
    if (option.value && !ids.has(option.value) && !option.selected) option.remove();
  }
}

function showNumbers() {
  let noise = 0;
  for (const event of events.values()) if (event.is_noise) noise += 1;
  at("hidden").textContent = noise;
  at("older").textContent = dropped ? `${dropped} older events are no longer kept.` : "";
  showTable();
}

// Drawing: only what is in view, so that ten thousand events stay fluid.

function draw() {
  if (isDrawing) return;
  isDrawing = true;
  requestAnimationFrame(() => {
    isDrawing = false;
    drawNow();
  });
}

function drawNow() {
  const width = diagram.clientWidth;
  const left = width >= 600 ? 76 : 54;
  const right = width >= 600 ? 44 : 40;
  const names = Object.keys(processes);
  const step = (width - left - right) / Math.max(1, names.length - 1);
  const lanes = new Map(names.map((name, place) => [name, left + step * place]));
  drawHeads(lanes);

  const height = (shown.at(-1)?.y ?? 0) + 2 * ROW;
  at("rows").style.height = `${Math.max(height, diagram.clientHeight - 46)}px`;
  const top = Math.max(0, diagram.scrollTop - MARGIN);
  const bottom = diagram.scrollTop + diagram.clientHeight + MARGIN;
  picture.style.top = `${top}px`;
  picture.setAttribute("width", width);
  picture.setAttribute("height", bottom - top);
  picture.setAttribute("viewBox", `0 ${top} ${width} ${bottom - top}`);

  const parts = [];
  for (const x of lanes.values()) {
    parts.push(make("line", { class: "lane", x1: x, x2: x, y1: top, y2: bottom }));
  }
  const marked = partners(hovered ?? current);
  for (let place = firstFrom(top); place < shown.length && shown[place].y < bottom; place++) {
    parts.push(...drawRow(shown[place], lanes, width, marked));
  }
  picture.replaceChildren(...parts);
}

function drawHeads(lanes) {
  const heads = [...lanes].map(([name, x]) => {
    const head = document.createElement("div");
    head.style.left = `${x}px`;
    const title = document.createElement("strong");
    title.textContent = name;
    const state = document.createElement("span");
    state.className = state.textContent = processes[name];
    head.append(title, state);
    return head;
  });
  at("heads").replaceChildren(...heads);
}

function drawRow({ event, y, waited }, lanes, width, marked) {
  const parts = [];
  if (waited !== null) {
    const fold = y - ROW - FOLD / 2 + 6;
    parts.push(make("line", { class: "fold", x1: 4, x2: width - 4, y1: fold, y2: fold }));
    const text = { class: "waited", x: width / 2, y: fold + 4, "text-anchor": "middle" };
    parts.push(make("text", text, `${duration(waited)} later`));
  }
  parts.push(make("text", { class: "time", x: 4, y: y + 4 }, sinceStart(event)));
  const start = lanes.get(event.from);
  const end = lanes.get(event.to);
  if (start === undefined || end === undefined) return parts;

  const group = make("g", { class: classes(event, marked), "data-id": event.id });
  const { anchor, x, label } = placeLabel(event, Math.min(start, end), Math.max(start, end), width);
  const text = make("text", { x, y: y - 5, "text-anchor": anchor });
  text.append(make("tspan", {}, TAGS[event.protocol]), label.slice(TAGS[event.protocol].length));
  group.append(
    make("rect", { x: 0, y: y - 19, width, height: ROW }),
    make("line", { x1: start, x2: end, y1: y, y2: y }),
    make("path", { d: `M${end} ${y}l${end < start ? 7 : -7} -4v8z` }),
    text,
  );
  return [...parts, group];
}

function classes(event, marked) {
  const names = ["event", event.protocol];
  if (event.is_noise) names.push("noise");
  if (performance.now() - event.since < NEW) names.push("new");
  if (event.id === (hovered ?? current)) names.push("current");
  else if (marked.has(event.id)) names.push("partner");
  return names.join(" ");
}

// Where a label has room: from the arrow's left end on, or up to its right end.
function placeLabel(event, left, right, width) {
  const label = `${TAGS[event.protocol]} ${event.what}`;
  const roomRight = (width - left - 8) / LETTER;
  const roomLeft = (right - 60) / LETTER;
  const toTheRight = label.length <= roomRight || roomRight >= roomLeft;
  const room = Math.floor(toTheRight ? roomRight : roomLeft);
  return {
    anchor: toTheRight ? "start" : "end",
    x: toTheRight ? left + 6 : right - 6,
    label: cutInTheMiddle(label, Math.max(8, room)),
  };
}

// What a command does stands at its beginning, and the state that it carries at its end.
function cutInTheMiddle(label, room) {
  if (label.length <= room) return label;
  const end = Math.floor((room - 1) / 2);
  return `${label.slice(0, room - 1 - end)}…${label.slice(-end)}`;
}

function make(name, attributes, text) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  if (text !== undefined) element.textContent = text;
  return element;
}

// The place of the first event that is at this height or below.
function firstFrom(y) {
  let low = 0;
  let high = shown.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (shown[middle].y < y) low = middle + 1;
    else high = middle;
  }
  return low;
}

function duration(ms) {
  if (ms >= 1000) return `${(ms / 1000).toFixed(2)} s`;
  return ms >= 10 ? `${ms.toFixed(0)} ms` : `${ms.toFixed(1)} ms`;
}

function sinceStart(event) {
  return duration((event.time - shown[0].event.time) / 1e6);
}

// A request and its answer.
function partners(id) {
  const found = new Set();
  const event = events.get(id);
  if (!event) return found;
  if (event.answers) found.add(event.answers);
  if (answered.has(id)) found.add(answered.get(id));
  return found;
}

// Selecting, by keyboard and pointer.

function select(place) {
  const row = shown[Math.min(Math.max(place, 0), shown.length - 1)];
  if (!row) return;
  current = row.event.id;
  at("follow").checked = false;
  at("selected").textContent = inWords(row.event);
  scrollTo(places.get(current));
  draw();
}

function inWords(event) {
  return `${sinceStart(event)}: ${event.from} to ${event.to}, ${event.protocol}: ${event.what}`;
}

function scrollTo(place) {
  const row = shown[place];
  if (!row) return;
  // The height may have grown since the last drawing.
  at("rows").style.height = `${shown.at(-1).y + 2 * ROW}px`;
  const head = 46;
  const room = diagram.clientHeight - head;
  if (row.y - ROW < diagram.scrollTop) diagram.scrollTop = row.y - 2 * ROW;
  if (row.y + ROW > diagram.scrollTop + room) diagram.scrollTop = row.y + 2 * ROW - room;
}

async function open(id) {
  const event = events.get(id);
  at("content-title").textContent = `${TAGS[event.protocol]} ${event.what}`;
  const partner = [...partners(id)].map((other) => events.get(other)).find(Boolean);
  const pair = partner ? `; ${event.answers ? "answers" : "answered by"}: ${partner.what}` : "";
  const task = event.task_id ? `; task ${event.task_id}` : "";
  at("content-about").textContent =
    `${sinceStart(event)}, ${event.from} to ${event.to}, connection ${event.connection}${task}${pair}`;
  at("content-text").textContent = "…";
  at("content").showModal();
  try {
    const answer = await fetch(`/events/${id}`);
    const body = await answer.json();
    at("content-text").textContent = answer.ok ? body.content || "(empty)" : body.detail;
  } catch {
    at("content-text").textContent = "The course's process does not answer.";
  }
}

const keys = {
  ArrowDown: () => select(current === null ? 0 : (places.get(current) ?? -1) + 1),
  ArrowUp: () => select((places.get(current) ?? shown.length) - 1),
  Home: () => select(0),
  End: () => select(shown.length - 1),
  Enter: () => events.has(current) && open(current),
  " ": () => togglePause(),
  f: () => at("follow").click(),
};

diagram.addEventListener("keydown", (pressed) => {
  const action = keys[pressed.key];
  if (!action || pressed.ctrlKey || pressed.metaKey || pressed.altKey) return;
  pressed.preventDefault();
  action();
});

const idUnder = ({ target }) => Number(target.closest?.(".event")?.dataset.id) || null;

picture.addEventListener("pointermove", (moved) => {
  if (idUnder(moved) === hovered) return;
  hovered = idUnder(moved);
  draw();
});
picture.addEventListener("pointerleave", () => {
  hovered = null;
  draw();
});
picture.addEventListener("click", (clicked) => {
  const id = idUnder(clicked);
  if (!id) return;
  select(places.get(id));
  open(id);
});
diagram.addEventListener("scroll", draw);
diagram.addEventListener("wheel", ({ deltaY }) => {
  if (deltaY < 0) at("follow").checked = false;
}, { passive: true });
new ResizeObserver(draw).observe(diagram);

// Controls.

function togglePause() {
  paused = !paused;
  missed = 0;
  showPause();
  if (!paused) layOut();
}

function showPause() {
  at("pause").setAttribute("aria-pressed", paused);
  at("pause").textContent = paused && missed ? `Paused, ${missed} more` : paused ? "Paused" : "Pause";
}

function showSelection() {
  const wanted = new URLSearchParams();
  if (at("task").value) wanted.set("task", at("task").value);
  if (at("noise").checked) wanted.set("noise", "1");
  at("as-svg").href = `/diagram.svg?${wanted}`;
  at("as-json").href = `/events.json?${wanted}`;
  tableStart = null;
  layOut();
}

at("pause").addEventListener("click", togglePause);
at("task").addEventListener("change", showSelection);
at("noise").addEventListener("change", showSelection);
at("follow").addEventListener("change", () => {
  if (at("follow").checked) scrollTo(shown.length - 1);
});

// The table: the same events, a page of rows at a time.

function showTable() {
  if (!at("as-table").open) return;
  const lastPage = Math.max(0, shown.length - PAGE);
  const start = Math.min(tableStart ?? lastPage, lastPage);
  const rows = shown.slice(start, start + PAGE).map(({ event }) => {
    const row = document.createElement("tr");
    const task = event.task_id?.slice(0, SHOWN_OF_ID) ?? "";
    const cells = [sinceStart(event), event.from, event.to, event.protocol, event.what, task];
    for (const text of cells) row.insertCell().textContent = text;
    return row;
  });
  at("table-rows").replaceChildren(...rows);
  at("range").textContent = shown.length
    ? `${start + 1} to ${start + rows.length} of ${shown.length}`
    : "no events";
  at("earlier").disabled = start === 0;
  at("later").disabled = start === lastPage;
}

function turn(rows) {
  const lastPage = Math.max(0, shown.length - PAGE);
  const start = Math.max(0, (tableStart ?? lastPage) + rows);
  tableStart = start >= lastPage ? null : start;
  showTable();
}

at("as-table").addEventListener("toggle", showTable);
at("earlier").addEventListener("click", () => turn(-PAGE));
at("later").addEventListener("click", () => turn(PAGE));
