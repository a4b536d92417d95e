// The bar beside a lesson: it shows the state that the server sends, and sends commands. It decides
// nothing itself, so that two open pages agree.

import { followState } from "./socket.js";

const bar = document.getElementById("learn");
const lesson = bar.dataset.lesson;
const MARKS = { green: "✓", red: "✗", "not yet": "·", "not checked": "?", given: "✓", "no check": "–" };

const part = (name) => document.getElementById(`learn-${name}`);

function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

function make(tag, text = "", className = "") {
  const element = document.createElement(tag);
  element.textContent = text;
  element.className = className;
  return element;
}

// A text with `code` and ```code of several lines``` in it. JavaScript's own backticks stay.
function marked(text) {
  return text.split("```").flatMap((part, at) => {
    if (at % 2) return [make("pre", part.trim())];
    return part.split("`").map((piece, number) => {
      if (number % 2 === 0) return piece;
      return piece.includes("${") ? `\`${piece}\`` : make("code", piece);
    });
  });
}

function makeMarked(tag, text) {
  const element = make(tag);
  element.append(...marked(text));
  return element;
}

// Commands.

function showProblem(text) {
  part("problem").hidden = !text;
  setText(part("problem"), text);
}

async function post(command, body = { lesson }) {
  try {
    const answer = await fetch(`/learn/${command}`, {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify(body),
    });
    const { detail } = answer.ok ? {} : await answer.json();
    showProblem(answer.ok ? "" : String(detail));
  } catch {
    showProblem("The server does not answer. Is ./course learn still running?");
  }
}

for (const button of bar.querySelectorAll("[data-command]")) {
  button.addEventListener("click", () => post(button.dataset.command));
}

part("open").addEventListener("click", () => {
  const isOpen = bar.classList.toggle("learn-is-open");
  part("open").setAttribute("aria-expanded", String(isOpen));
  setText(part("open"), isOpen ? "Hide" : "Show");
});

// The steps.

const lines = new Map(); // by the step's name
const states = new Map(); // the last one that was read out

function headingOf(step) {
  const number = step.split(".")[1];
  return document.querySelector(`[id^="step-${number}-"]`);
}

function newLine(step) {
  const line = make("li");
  const details = make("details");
  const summary = make("summary");
  summary.append(make("span", "", "learn-mark"), make("span", "", "learn-title"));
  summary.append(make("span", "", "learn-word"));
  const inside = make("div", "", "learn-inside");
  const heading = step.name && headingOf(step.name);
  if (heading) {
    const link = make("a", "To this step in the lesson");
    link.href = `#${heading.id}`;
    inside.append(link);
  }
  if (step.shows) inside.append(make("p", step.shows));
  inside.append(make("ul"));
  details.append(summary, inside);
  line.append(details);
  part("steps").append(line);
  lines.set(step.name, line);
  return line;
}

function showStep(step, openStep, judgement) {
  const line = lines.get(step.name) ?? newLine(step);
  const state = step.name === "" && step.state === "green" ? "given" : step.state;
  const isBefore = !step.is_current && judgement.serial > 0 && !["not yet", "no check"].includes(step.state);
  line.classList.toggle("learn-open-step", step.name !== "" && step.name === openStep);
  line.classList.toggle("learn-before", isBefore);
  const colour = { green: "learn-green", given: "learn-green", red: "learn-red" }[state] ?? "";
  const [mark, title, word] = line.querySelectorAll("summary > span");
  setText(mark, MARKS[state]);
  setText(title, step.name ? `${step.name} ${step.title}` : step.title);
  setText(word, isBefore ? `${state} before` : state);
  mark.className = `learn-mark ${colour}`;
  word.className = `learn-word ${colour}`;
  const ideas = step.ideas.map(([text, ofIdea]) => make("li", `${MARKS[ofIdea]} ${text} (${ofIdea})`));
  line.querySelector("ul").replaceChildren(...ideas);

  if (step.ideas.length && step.is_current && step.name && states.get(step.name) !== state) {
    states.set(step.name, state);
    if (state !== "not yet") setText(part("said"), `Step ${step.name} is ${state}.`);
  }
}

function count(number, what) {
  return `${number} ${what}${number === 1 ? "" : "s"}`;
}

function showSteps({ chapter, judgement, work }) {
  const isMine = judgement.chapter === lesson;
  for (const step of chapter.steps) {
    showStep(step, chapter.open_step, isMine ? judgement : { serial: 0 });
  }
  const open = chapter.steps.find(({ name }) => name && name === chapter.open_step);
  const running = isMine && judgement.is_running;
  const saved = judgement.saved.length ? `Saved ${judgement.saved.slice(0, 3).join(", ")}. ` : "";
  const done = judgement.serial ? `Judged in ${judgement.seconds.toFixed(1)} s.` : "";
  const judging = `Judging … ${judgement.decided} of ${count(judgement.ideas, "idea")}`;
  const unseen = chapter.steps.flatMap(({ ideas }) => ideas).filter(([, state]) => state === "not checked");
  const without = unseen.length ? ` ${count(unseen.length, "idea")} not checked: no browser was found.` : "";
  setText(part("judged"), isMine && work.exists ? saved + (running ? judging : done + without) : "");

  const isBroken = chapter.steps[0].state === "red";
  const at = open ? `${open.name}: ${open.state}` : chapter.is_done ? "all green" : "";
  const now = isBroken ? "what is given: red" : at;
  setText(part("now"), !work.exists ? "not begun" : running ? `${now}, judging …` : now);
  showNext(chapter, open, work);
}

function showNext(chapter, open, work) {
  const next = part("next");
  const link = make("a");
  const after = String(Number(lesson) + 1).padStart(2, "0");
  const nextLesson = document.querySelector(`a[href$="../${after}/"]`);
  const heading = open && headingOf(open.name);
  if (!work.exists) {
    next.replaceChildren();
  } else if (heading) {
    link.href = `#${heading.id}`;
    link.textContent = `Step ${open.name}, ${open.title}`;
    next.replaceChildren("Next: ", link, ".");
  } else if (chapter.is_done && nextLesson) {
    link.href = nextLesson.href;
    link.textContent = `chapter ${Number(after)}`;
    const exercises = make("a", "the exercises");
    exercises.href = "#exercises";
    const isThere = document.getElementById("exercises");
    next.replaceChildren("Every step is green. Next: ", ...(isThere ? [exercises, " or "] : []), link, ".");
  } else {
    next.replaceChildren(chapter.is_done ? "Every step is green." : "");
  }
}

// What fails first, and its hints.

let failingKey = "";

function showFailing({ judgement }) {
  const { failing, problem } = judgement;
  const isMine = judgement.chapter === lesson;
  part("failing").hidden = !isMine || !failing;
  if (isMine && problem) showProblem(problem);
  if (!failing) return;
  setText(part("failing-title"), `✗ ${failing.text}`);
  const why = [
    ["Expected", [failing.expected]],
    ["Seen", [failing.seen]],
    ["Usually", failing.usually],
    ["Look at", [failing.look_at]],
  ];
  const rows = why.flatMap(([label, texts]) => {
    const said = texts.filter(Boolean).map((text) => makeMarked("dd", text));
    return said.length ? [make("dt", label), ...said] : [];
  });
  part("why").replaceChildren(...rows);
  const log = part("failing-log");
  log.hidden = !failing.log.length;
  setText(log.querySelector("summary"), `${failing.log_of}, its last lines`);
  setText(log.querySelector("pre"), failing.log.join("\n"));

  const { hints, hints_in_all: inAll } = judgement;
  const shown = hints.map((text, at) => makeMarked("li", `Hint ${at + 1} of ${inAll}: ${text}`));
  part("hints").replaceChildren(...shown);
  const isLast = inAll > 0 && hints.length >= inAll;
  part("hint").disabled = isLast;
  setText(part("hint"), isLast ? "That was the last hint" : hints.length ? "The next hint" : "Give me a hint");
  if (failing.key !== failingKey) {
    failingKey = failing.key;
    setText(part("said"), `Fails first: ${failing.text}`);
  }
}

// The student's app.

let workWindow = null;
let starts = null; // how often its page has come up, as far as this page knows

part("page").addEventListener("click", (event) => {
  event.preventDefault();
  workWindow = window.open(part("page").href, "course-work");
});

function showRun({ run, work }) {
  const isUp = run.state !== "stopped";
  part("run").hidden = !work.exists;
  part("start-run").disabled = isUp;
  part("stop-run").disabled = !isUp || run.state === "stopping";
  part("links").hidden = !isUp || !run.page;
  if (run.page) part("page").href = run.page;
  part("wires").hidden = !run.wires;
  if (run.wires) part("wires").href = run.wires;
  const ended = Object.entries(run.processes).filter(([, code]) => code !== null);
  const words = ended.map(([name, code]) => `${name} has ended with exit code ${code}; the log says why.`);
  const waits = isUp && !run.page_answers ? ", its page does not answer yet" : "";
  const whole = ended.length ? "" : `It is ${run.state}${waits}.`;
  const redis = isUp && run.redis ? `Its Redis: ${run.redis}` : "";
  setText(part("run-state"), [run.problem, whole, ...words, redis].filter(Boolean).join(" "));

  // Reload the page that was opened from here: its processes have started again.
  if (starts !== null && run.starts > starts && workWindow && !workWindow.closed) {
    workWindow.location.replace(run.page);
  }
  starts = run.starts;
}

// The log.

const KEPT_LINES = 400;
let log = [];

function addLines(added) {
  log = [...log, ...added].slice(-KEPT_LINES);
  const known = new Set([...part("log-of").options].map(({ value }) => value));
  for (const name of new Set(log.map(([, process]) => process))) {
    if (!known.has(name)) part("log-of").append(new Option(name, name));
  }
  showLog();
}

function showLog() {
  const wanted = part("log-of").value;
  const pre = part("log");
  const isAtEnd = pre.scrollHeight - pre.scrollTop - pre.clientHeight < 20;
  const chosen = log.filter(([, process]) => !wanted || process === wanted);
  const text = chosen.map(([, process, line]) => (wanted ? line : `${process.padEnd(10)} ${line}`));
  pre.textContent = text.join("\n");
  part("log-part").hidden = !log.length;
  if (isAtEnd) pre.scrollTop = pre.scrollHeight;
}

part("log-of").addEventListener("change", () => {
  showLog();
  part("log").scrollTop = part("log").scrollHeight;
});

// The questions of the lesson.

const choicesOf = (question) => [...question.querySelectorAll("details")];

document.querySelectorAll(".quiz").forEach((question) => {
  choicesOf(question).forEach((choice, number) => {
    choice.addEventListener("toggle", () => {
      if (choice.open) post("answers", { question: question.dataset.question, choice: number });
    });
  });
});

function showAnswers(answers) {
  for (const question of document.querySelectorAll(".quiz")) {
    const opened = answers[question.dataset.question] ?? [];
    choicesOf(question).forEach((choice, number) => {
      if (opened.includes(number)) {
        choice.classList.add(choice.dataset.right === "true" ? "right" : "wrong");
      }
    });
  }
}

// The whole.

let state = {};

function show() {
  const { work, judgement } = state;
  part("begin").hidden = work.exists;
  setText(part("folder"), `${work.folder}/`);
  setText(part("start-command"), `./course start ${lesson}`);
  part("other").hidden = !work.exists || judgement.chapter === lesson;
  setText(part("judged-by"), `Your work is judged by chapter ${Number(judgement.chapter)}.`);
  part("check").disabled = judgement.is_running;
  showSteps(state);
  showFailing(state);
  showRun(state);
  showAnswers(state.answers);
}

followState(`/learn/ws/${lesson}`, {
  onState({ type, lines: added = [], ...parts }) {
    if (type === "state") {
      log = [];
      showProblem("");
    }
    state = { ...state, ...parts };
    show();
    if (added.length) addLines(added);
  },
  onConnection(text, isUp) {
    setText(part("connection"), text);
    bar.classList.toggle("learn-is-away", !isUp);
  },
});
