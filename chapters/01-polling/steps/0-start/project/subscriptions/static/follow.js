// How the page learns that its task is done: chapter 1 fills in follow().

export const how = "This page does not follow its task yet.";

export async function follow(taskId, show, signal) {
  // show({ task_id, state, result, error }) writes a task status on the page.
  // signal.aborted is true as soon as another address was submitted.
}
