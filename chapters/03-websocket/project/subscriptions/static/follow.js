// From chapter 3 on: a WebSocket. The server sends each change of the state.

import { isFinal, notice } from "./status.js";
import { openSocket, parse } from "./wire.js";

export const how = "WebSocket: the server notifies the page.";

const FIRST_WAIT = 500; // ms
const LONGEST_WAIT = 30_000; // ms
const DONE = 1000; // the server has sent the final state
const GAVE_UP = 1013; // the server will wait no longer

export function follow(taskId, show, signal) {
  let tries = 0;
  let socket;
  signal.addEventListener("abort", () => socket.close(DONE));

  function open() {
    if (signal.aborted) return;
    socket = openSocket(`/ws/task_status/${taskId}`);

    socket.addEventListener("message", (event) => {
      const status = parse(event.data);
      if (!status.state) return notice("The server sent a message that is not readable.");
      tries = 0;
      show(status);
      if (isFinal(status)) socket.close(DONE);
    });

    socket.addEventListener("close", ({ code }) => {
      if (code === DONE || signal.aborted) return;
      if (code === GAVE_UP) return notice("The task has not ended in time. Reload the page to follow it further.");
      // Random, so that a thousand pages do not come back to a new server in one moment.
      const wait = Math.random() * Math.min(FIRST_WAIT * 2 ** tries++, LONGEST_WAIT);
      notice(`Connection lost (${code}). Trying again in ${(wait / 1000).toFixed(1)} s.`);
      setTimeout(open, wait);
    });
  }

  open();
}
