// What the page shows of the task.

const FINAL = ["SUCCESS", "FAILURE", "REVOKED"];
const TOLERANCE = 50; // ms by which two clocks may differ unnoticed

let followedSince = 0;
let wasRunning = false; // the page follows the task from before its end

export function isFinal(status) {
  return FINAL.includes(status.state);
}

export function showText(text) {
  document.getElementById("status").textContent = text;
}

export function notice(text) {
  document.getElementById("notice").textContent = text;
}

export function show(status) {
  const { state, progress, result, error } = status;
  showText([state, progress, result, error].filter(Boolean).join(": "));
  notice("");
  if (isFinal(status)) showLatency(Date.parse(status.date_done));
  else wasRunning = true;
}

function showLatency(finished) {
  const now = performance.timeOrigin + performance.now();
  document.getElementById("latency").textContent = latency(now - finished, now - followedSince);
}

// The server's clock says when the task finished, this computer's when the page was notified.
function latency(late, followed) {
  if (Number.isNaN(late)) return "";
  if (late > followed && !wasRunning) return "The task had finished before the page followed it.";
  if (late < -TOLERANCE || late > followed + TOLERANCE) {
    const seconds = Math.abs(late / 1000).toFixed(0);
    return `Latency unknown: this clock and the server's differ by about ${seconds} s.`;
  }
  return `Notified ${Math.max(0, Math.round(late))} ms after the task finished.`;
}

export function clear(isStarting) {
  followedSince = performance.timeOrigin + performance.now();
  wasRunning = isStarting;
  notice("");
  document.getElementById("latency").textContent = "";
}
