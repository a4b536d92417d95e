// The form: start a task, then follow it. How it is followed is each chapter's own: follow.js.

import { how } from "./follow.js";
import { clear, say } from "./status.js";
import { request, showTotals } from "./wire.js";

const form = document.getElementById("subscribe");
let following = new AbortController();

async function subscribe(event) {
  event.preventDefault();
  following.abort(); // a second address ends the interest in the first
  following = new AbortController();
  const { signal } = following;

  clear();
  say("Asking …");
  const json = { email: form.email.value };
  const { status, body } = await request("POST", "/subscriptions", { json, signal });
  if (signal.aborted) return;
  if (status === 200) {
    say(body);
  } else {
    say(`Not accepted: ${reason(body)}`);
  }
}

function reason({ detail }) {
  return Array.isArray(detail) ? detail.map((item) => item.msg).join("; ") : detail;
}

document.getElementById("how").textContent = how;
showTotals();
form.addEventListener("submit", subscribe);
