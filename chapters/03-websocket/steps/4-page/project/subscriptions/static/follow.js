// From chapter 3 on: a WebSocket. The server speaks when there is news.

import { isFinal, notice } from "./status.js";
import { openSocket } from "./wire.js";

export const how = "WebSocket: the page is told.";

const DONE = 1000; // the server has said all there is

export function follow(taskId, show, signal) {
  const socket = openSocket(`/ws/task_status/${taskId}`);
  signal.addEventListener("abort", () => socket.close(DONE));

  socket.addEventListener("message", (event) => {
    const status = JSON.parse(event.data);
    show(status);
    if (isFinal(status)) socket.close(DONE);
  });

  socket.addEventListener("close", ({ code }) => {
    if (code !== DONE && !signal.aborted) notice(`Connection lost (${code}).`);
  });
}
