// A WebSocket: the server sends each change, and a heartbeat while nothing changes.

import { isFinal, notice } from "./status.js";
import { openSocket, parse } from "./wire.js";

export const how = "WebSocket: the page is notified.";

const FIRST_WAIT = 500; // ms
const LONGEST_WAIT = 30_000; // ms
const SILENCE = 40_000; // ms without a frame, after which the server counts as dead
const MISSED_HEARTBEATS = 2.5; // the same, once the server has said how often it sends one
const DONE = 1000; // the server has sent all there is
const GAVE_UP = 1013; // the server will wait no longer
const NOT_FOUND = 4404; // nobody's task, or another browser's

const FINAL_NOTICES = {
  [GAVE_UP]: "The task has not ended in time. Reload the page to follow it further.",
  [NOT_FOUND]: "There is no such task, or another browser has started it.",
};

export function follow(taskId, show, signal) {
  let tries = 0;
  let silence = SILENCE;

  function open() {
    if (signal.aborted) return;
    const socket = openSocket(`/ws/task_status/${taskId}`);
    const ended = new AbortController(); // of this socket: nothing more is expected from it
    const listener = { signal: ended.signal };
    let timer;

    function waitForFrame() {
      clearTimeout(timer);
      // A server that hangs, or a cut cable, closes nothing: the socket stays open, and silent.
      timer = setTimeout(() => lost("the server is silent"), silence);
    }

    function end() {
      clearTimeout(timer);
      ended.abort();
      socket.close(DONE);
    }

    function lost(reason) {
      end();
      // Random, so that a thousand pages do not come back to a new server in one moment.
      const wait = Math.random() * Math.min(FIRST_WAIT * 2 ** tries++, LONGEST_WAIT);
      notice(`Connection lost (${reason}). Trying again in ${(wait / 1000).toFixed(1)} s.`);
      setTimeout(open, wait);
    }

    signal.addEventListener("abort", end, listener);
    socket.addEventListener("open", waitForFrame, listener);
    socket.addEventListener(
      "message",
      (event) => {
        const status = parse(event.data);
        if (status.heartbeat) silence = status.heartbeat * 1000 * MISSED_HEARTBEATS;
        waitForFrame();
        if (status.heartbeat) return;
        if (!status.state) return notice("The server sent a message that is not readable.");
        tries = 0;
        show(status);
        if (isFinal(status)) end();
      },
      listener,
    );
    socket.addEventListener(
      "close",
      ({ code }) => {
        if (code === DONE) return end();
        if (!FINAL_NOTICES[code]) return lost(code);
        end();
        notice(FINAL_NOTICES[code]);
      },
      listener,
    );
    waitForFrame();
  }

  open();
}
