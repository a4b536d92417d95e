// The form: start a task, then follow it. How it is followed is each chapter's own: follow.js.

import { follow, how } from "./follow.js";
import { clear, show, showText } from "./status.js";
import { request, showTotals } from "./wire.js";

const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

const form = document.getElementById("subscribe");
let following = new AbortController();

function stopFollowing(isStarting) {
  following.abort(); // a second task ends the interest in the first
  following = new AbortController();
  clear(isStarting);
  return following.signal;
}

async function subscribe(event) {
  event.preventDefault();
  const signal = stopFollowing(true);
  showText("Sending …");
  const json = { email: form.email.value };
  const { status, body } = await request("POST", "/subscriptions", { json, signal });
  if (signal.aborted) return;
  if (status === 202 && UUID.test(body.task_id)) {
    history.replaceState(null, "", `#${body.task_id}`); // a reload goes on following it
    follow(body.task_id, show, signal);
  } else {
    showText(`Not accepted: ${reason(body)}`);
  }
}

function reason({ detail }) {
  if (Array.isArray(detail)) return detail.map((item) => item.msg).join("; ");
  return detail ?? "the answer is not readable.";
}

function followFromAddress() {
  const taskId = location.hash.slice(1);
  if (UUID.test(taskId)) follow(taskId, show, stopFollowing(false));
}

document.getElementById("how").textContent = how;
showTotals();
form.addEventListener("submit", subscribe);
window.addEventListener("hashchange", followFromAddress);
followFromAddress();
