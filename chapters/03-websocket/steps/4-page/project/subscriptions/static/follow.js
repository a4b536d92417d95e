// From chapter 3 on: a WebSocket. The server sends each change of the state.

import { isFinal, notice } from "./status.js";
import { openSocket, parse } from "./wire.js";

export const how = "WebSocket: the server notifies the page.";

const DONE = 1000; // the server has sent the final state

export function follow(taskId, show, signal) {
  const socket = openSocket(`/ws/task_status/${taskId}`);
  signal.addEventListener("abort", () => socket.close(DONE));

  socket.addEventListener("message", (event) => {
    const status = parse(event.data);
    if (!status.state) return notice("The server sent a message that is not readable.");
    show(status);
    if (isFinal(status)) socket.close(DONE);
  });

  socket.addEventListener("close", ({ code }) => {
    if (code !== DONE && !signal.aborted) notice(`Connection lost (${code}).`);
  });
}
