// The form: start a task, then follow it. How it is followed is each chapter's own: follow.js.

import { follow, how } from "./follow.js";
import { clear, say, show } from "./status.js";
import { request, showTotals } from "./wire.js";

const form = document.getElementById("subscribe");
const NO_ANSWER = [0, 502, 503, 504]; // the request may have been served all the same
let following = new AbortController();
let unanswered = {}; // the request that is repeated, with its key, when the button is pressed again

async function subscribe(event) {
  event.preventDefault();
  following.abort(); // a second address ends the interest in the first
  following = new AbortController();
  const { signal } = following;

  clear();
  say("Asking …");
  const json = { email: form.email.value };
  if (unanswered.email !== json.email) unanswered = { email: json.email, key: randomKey() };
  // The server starts one task for a key, however often it comes.
  const headers = { "Idempotency-Key": unanswered.key };
  const { status, body } = await request("POST", "/subscriptions", { json, signal, headers });
  if (signal.aborted) return;
  if (!NO_ANSWER.includes(status)) unanswered = {};
  if (status === 202) {
    follow(body.task_id, show, signal);
  } else {
    say(`Not accepted: ${reason(body)}`);
  }
}

function randomKey() {
  return Array.from(crypto.getRandomValues(new Uint32Array(4)), (n) => n.toString(16)).join("-");
}

function reason({ detail }) {
  return Array.isArray(detail) ? detail.map((item) => item.msg).join("; ") : detail;
}

document.getElementById("how").textContent = how;
showTotals();
form.addEventListener("submit", subscribe);
