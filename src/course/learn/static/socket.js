// The state's WebSocket, as the course teaches it: the current state first, then each change; a lost
// connection is opened again, after a wait that doubles, with jitter.

const FIRST_WAIT = 250; // ms
const LONGEST_WAIT = 3_000; // ms: the server is on this machine, and is started again by its user

const ENDED = "./course learn has ended. Start it again: this page comes back by itself.";

export function followState(path, { onState, onConnection, ended = ENDED }) {
  let tries = 0;

  async function explain() {
    // A WebSocket does not say why it was refused; any other request does.
    try {
      const answer = await fetch("/learn/static/socket.js");
      if (answer.status === 403) return "Open the address that the command has printed.";
    } catch {
      // it is not there
    }
    return ended;
  }

  function open() {
    const socket = new WebSocket(`ws://${location.host}${path}`);
    socket.addEventListener("message", ({ data }) => {
      tries = 0;
      onConnection("", true);
      onState(JSON.parse(data));
    });
    socket.addEventListener("close", async () => {
      const wait = Math.random() * Math.min(FIRST_WAIT * 2 ** tries++, LONGEST_WAIT);
      onConnection(await explain(), false);
      setTimeout(open, wait);
    });
  }

  open();
}
