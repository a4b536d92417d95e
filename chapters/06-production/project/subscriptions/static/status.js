// What the page says about the task.

const FINAL = ["SUCCESS", "FAILURE", "REVOKED"];

export function isFinal(status) {
  return FINAL.includes(status.state);
}

export function say(text) {
  document.getElementById("status").textContent = text;
}

export function notice(text) {
  document.getElementById("notice").textContent = text;
}

export function show(status) {
  say([status.state, status.progress, status.result, status.error].filter(Boolean).join(": "));
  notice("");
  if (isFinal(status) && status.date_done) {
    const late = performance.timeOrigin + performance.now() - Date.parse(status.date_done);
    document.getElementById("told").textContent =
      `Told ${Math.round(late)} ms after the task finished.`;
  }
}

export function clear() {
  notice("");
  document.getElementById("told").textContent = "";
}
