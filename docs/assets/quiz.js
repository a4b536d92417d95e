// Keeps in this browser which choices of a question have been opened, and marks them.
// Without this script the questions work all the same: each choice is a <details> element.

const KEY = "websockets-and-celery-answers";

function kept() {
  try {
    return JSON.parse(localStorage.getItem(KEY)) ?? {};
  } catch {
    return {}; // no storage, or not ours
  }
}

function keep(answers) {
  try {
    localStorage.setItem(KEY, JSON.stringify(answers));
  } catch {
    // a browser without storage forgets; the questions work
  }
}

function mark(choice) {
  choice.classList.add(choice.dataset.right === "true" ? "right" : "wrong");
}

function prepare(question) {
  const choices = [...question.querySelectorAll("details")];
  const name = question.dataset.question;
  choices.forEach((choice, number) => {
    if ((kept()[name] ?? []).includes(number)) mark(choice);
    choice.addEventListener("toggle", () => {
      if (!choice.open) return;
      mark(choice);
      const answers = kept();
      answers[name] = [...new Set([...(answers[name] ?? []), number])];
      keep(answers);
    });
  });
}

document.querySelectorAll(".quiz").forEach(prepare);
