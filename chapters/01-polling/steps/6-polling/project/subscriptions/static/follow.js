// Chapter 1: short polling, once a second.

import { isFinal } from "./status.js";
import { request } from "./wire.js";

export const how = "Short polling: the page sends a request once a second.";

const INTERVAL = 1000; // ms

export async function follow(taskId, show, signal) {
  const timer = setInterval(async () => {
    const { body } = await request("GET", `/task_status/${taskId}`);
    show(body);
    if (isFinal(body)) clearInterval(timer);
  }, INTERVAL);
}
