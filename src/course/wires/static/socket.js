// The events' WebSocket, as the course teaches it: the current state first, then each change; a lost
// connection is opened again, after a wait that doubles, with jitter.

const FIRST_WAIT = 500; // ms
const LONGEST_WAIT = 10_000; // ms

export function followEvents({ onState, onEvents, onProcesses, onConnection }) {
  let tries = 0;

  function open() {
    const socket = new WebSocket(`ws://${location.host}/ws/events`);
    socket.addEventListener("message", ({ data }) => {
      tries = 0;
      const message = JSON.parse(data);
      if (message.type === "state") {
        onConnection("Connected: events appear as they pass.");
        onState(message);
      } else if (message.type === "events") {
        onEvents(message.events);
      } else {
        onProcesses(message.processes);
      }
    });
    socket.addEventListener("close", ({ code }) => {
      const wait = Math.random() * Math.min(FIRST_WAIT * 2 ** tries++, LONGEST_WAIT);
      onConnection(`Connection lost (${code}). Trying again in ${(wait / 1000).toFixed(1)} s.`);
      setTimeout(open, wait);
    });
  }

  open();
}
