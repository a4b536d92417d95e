// Chapter 1: short polling. Ask, wait a second, ask again.

import { isFinal, notice } from "./status.js";
import { request } from "./wire.js";

export const how = "Short polling: the page asks once a second.";

const INTERVAL = 1000; // ms

export async function follow(taskId, show, signal) {
  while (!signal.aborted) {
    // The next question waits for this answer, so two are never on their way at once.
    const { status, body } = await request("GET", `/task_status/${taskId}`, { signal });
    if (status === 200) {
      show(body);
      if (isFinal(body)) return;
    } else if (!signal.aborted) {
      notice(`${body.detail} Asking again.`);
    }
    await new Promise((resolve) => setTimeout(resolve, INTERVAL));
  }
}
