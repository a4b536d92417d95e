// Chapter 1: short polling. Send a request, wait a second, send the next.

import { isFinal, notice } from "./status.js";
import { request } from "./wire.js";

export const how = "Short polling: the page sends a request once a second.";

const INTERVAL = 1000; // ms

export async function follow(taskId, show, signal) {
  while (!signal.aborted) {
    // The next request waits for this response, so two are never on their way at once.
    const { status, body } = await request("GET", `/task_status/${taskId}`, { signal });
    if (status === 200 && body.state) {
      show(body);
      if (isFinal(body)) return;
    } else if (!signal.aborted) {
      notice(`${body.detail} Requesting again.`);
    }
    await new Promise((resolve) => setTimeout(resolve, INTERVAL));
  }
}
