// From chapter 3 on: a WebSocket. The server speaks when there is news.

import { isFinal, notice } from "./status.js";
import { openSocket } from "./wire.js";

export const how = "WebSocket: the page is told.";

const FIRST_WAIT = 500; // ms
const LONGEST_WAIT = 30_000; // ms
const DONE = 1000; // the server has said all there is
const GAVE_UP = 1013; // the server will wait no longer

export function follow(taskId, show, signal) {
  let tries = 0;

  function open() {
    if (signal.aborted) return;
    const socket = openSocket(`/ws/task_status/${taskId}`);
    signal.addEventListener("abort", () => socket.close(DONE));

    socket.addEventListener("message", (event) => {
      tries = 0;
      const status = JSON.parse(event.data);
      show(status);
      if (isFinal(status)) socket.close(DONE);
    });

    socket.addEventListener("close", ({ code }) => {
      if (code === DONE || signal.aborted) return;
      if (code === GAVE_UP) return notice("No news for too long. Reload the page to look again.");
      // Random, so that a thousand pages do not come back to a new server in one moment.
      const wait = Math.random() * Math.min(FIRST_WAIT * 2 ** tries++, LONGEST_WAIT);
      notice(`Connection lost (${code}). Trying again in ${(wait / 1000).toFixed(1)} s.`);
      setTimeout(open, wait);
    });
  }

  open();
}
