// The table of a class: a row for each project, filled as it is graded.

import { followState } from "./socket.js";

const WORDS = { passed: "✓ yes", "not passed": "✗ no", waiting: "waiting" };
const lines = new Map(); // by the project's name

function cellsOf(row) {
  const seen = row.seen ? `${row.first} Seen: ${row.seen}` : row.first;
  return [row.project, row.chapter || (row.state === "waiting" ? "" : "none"), WORDS[row.state], row.ideas, seen];
}

function show(rows) {
  for (const row of rows) {
    let line = lines.get(row.project);
    if (!line) {
      line = document.getElementById("rows").insertRow();
      for (let number = 0; number < 5; number++) line.insertCell();
      lines.set(row.project, line);
    }
    line.className = row.state.replace(" ", "-");
    cellsOf(row).forEach((text, number) => {
      if (line.cells[number].textContent !== text) line.cells[number].textContent = text;
    });
  }
  const graded = rows.filter(({ state }) => state !== "waiting").length;
  const passed = rows.filter(({ state }) => state === "passed").length;
  document.getElementById("count").textContent = `${graded} of ${rows.length} graded, ${passed} passed.`;
}

followState("/learn/ws/class", {
  onState: ({ rows }) => show(rows),
  onConnection: (text) => {
    document.getElementById("connection").textContent = text;
  },
  ended: "./course grade has ended. This is what it had graded by then.",
});
