// Chapter 2: long polling. Send a request, and let the response take its time.

import { isFinal, notice } from "./status.js";
import { request } from "./wire.js";

export const how = "Long polling: each request waits on the server for a change.";

const WAIT = 20; // seconds that the server may hold a request
const PAUSE = 1000; // ms before the next request after an error

export async function follow(taskId, show, signal) {
  let wait = 0; // the first response comes at once, so that there is something to show
  while (!signal.aborted) {
    const path = `/task_status/${taskId}?wait=${wait}`;
    const { status, body } = await request("GET", path, { signal });
    if (status === 200 && body.state) {
      show(body);
      if (isFinal(body)) return;
      wait = WAIT;
    } else if (!signal.aborted) {
      notice(`${body.detail} Requesting again.`);
      await new Promise((resolve) => setTimeout(resolve, PAUSE));
    }
  }
}
