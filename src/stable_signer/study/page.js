"use strict";
// The study: consent, a few facts, comprehension (each sentence by one system), preference (both), the file.
const study = JSON.parse(document.getElementById("study").textContent);
const stage = document.getElementById("stage");
const rows = []; // what the CSV will hold
const COLUMNS = ["study", "participant", "time", "phase", "item", "sentence", "system", "other_system",
  "answer", "correct", "seconds", "plays", "comment"];
let participant = "";
let steps = [];
let at = -1;

// A generator of numbers in [0, 1) that a text decides (xmur3 and mulberry32, both public domain).
function chance(text) {
  let h = 1779033703 ^ text.length;
  for (let i = 0; i < text.length; i++) {
    h = Math.imul(h ^ text.charCodeAt(i), 3432918353);
    h = (h << 13) | (h >>> 19);
  }
  return () => {
    h = (h + 0x6d2b79f5) | 0;
    let t = Math.imul(h ^ (h >>> 15), 1 | h);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

function shuffled(list, random) {
  const out = [...list];
  for (let i = out.length - 1; i > 0; i--) {
    const j = Math.floor(random() * (i + 1));
    [out[i], out[j]] = [out[j], out[i]];
  }
  return out;
}

function make(tag, properties = {}, ...children) {
  const node = Object.assign(document.createElement(tag), properties);
  node.append(...children);
  return node;
}

function show(...nodes) {
  stage.replaceChildren(...nodes);
  stage.focus();
  window.scrollTo(0, 0);
}

function video(source, name) {
  const node = make("video", { src: source, controls: true, muted: true, playsInline: true, preload: "auto" });
  node.setAttribute("aria-label", name);
  return node;
}

// A sentence of the page, written and, where there is a video, signed.
function prompt(key, text) {
  const box = make("div", { className: "prompt" });
  if (study.signed[key]) box.append(video(study.signed[key], `Signed: ${text}`));
  box.append(make("p", { textContent: text }));
  return box;
}

function record(more) {
  rows.push({ study: study.id, participant, time: new Date().toISOString(), ...more });
}

function next() {
  at += 1;
  document.getElementById("progress").value = at / steps.length;
  steps[at]();
}

function welcome() {
  const agree = make("input", { type: "checkbox", id: "agree" });
  const go = make("button", { textContent: "I agree: begin", disabled: true, id: "go" });
  agree.onchange = () => { go.disabled = !agree.checked; };
  const none = make("button", { textContent: "I do not want to take part", className: "plain", id: "none" });
  none.onclick = () => show(make("h1", { textContent: "Thank you. Nothing was kept." }));
  go.onclick = next;
  show(
    make("h1", { textContent: study.title }),
    prompt("welcome", study.prompts.welcome),
    make("p", { textContent: `You will watch ${study.items.length} short videos and answer a question on each; then you see ${study.items.length} pairs and say which is easier to understand. The signing is made by a computer. We test the computer, not you.` }),
    make("p", { textContent: "You may stop at any time by closing this page: then nothing is kept. Your answers stay in this page until you save them as a file yourself. No name, no address and no picture of you is asked for, and the page cannot reach the network." }),
    make("p", { textContent: `Questions: ${study.contact}` }),
    prompt("consent", study.prompts.consent),
    make("label", {}, agree, " I am 18 or older, I have read or watched this, and I agree to take part."),
    make("p", {}, go, " ", none),
  );
}

function chooser(id, name, options) {
  const node = make("select", { id });
  node.append(make("option", { value: "", textContent: "—" }));
  for (const o of options) node.append(make("option", { value: o, textContent: o }));
  return make("label", {}, name, node);
}

function facts() {
  const random = crypto.getRandomValues(new Uint32Array(2));
  participant = random[0].toString(36) + random[1].toString(36);
  const fields = [
    chooser("identity", "I am", ["Deaf", "hard of hearing", "DeafBlind", "CODA", "hearing", "I prefer not to say"]),
    chooser("age_learnt", "I learnt ASL", ["from birth", "before 6", "6 to 12", "13 to 18", "as an adult", "I do not know ASL"]),
    chooser("use", "I use ASL", ["every day", "every week", "less"]),
    make("label", {}, "Code that you were given (leave empty if none)", make("input", { type: "text", id: "code", maxLength: 40 })),
  ];
  const go = make("button", { textContent: "Go on", id: "go" });
  go.onclick = () => {
    const code = document.getElementById("code").value.trim();
    if (code) participant = code;
    for (const key of ["identity", "age_learnt", "use"]) {
      record({ phase: "about", item: key, answer: document.getElementById(key).value });
    }
    plan();
    next();
  };
  show(make("h1", { textContent: "About you" }), make("p", { textContent: "Every question may be left empty." }), ...fields, go);
}

// Each sentence by one system; the halves change with the participant. Then every pair, sides by chance.
function plan() {
  const random = chance(`${study.seed} ${participant}`);
  const numbers = study.items.map((_, i) => i);
  const halves = shuffled(numbers, random);
  const flip = random() < 0.5 ? 0 : 1;
  const by = {};
  halves.forEach((item, k) => { by[item] = (k + flip) % 2; });
  steps.push(() => pause("watch", "First part", study.prompts.watch));
  for (const item of shuffled(numbers, random)) {
    const options = shuffled(study.items[item].options, random);
    steps.push(() => comprehension(item, by[item], options));
  }
  steps.push(() => pause("compare", "Second part", study.prompts.compare));
  for (const item of shuffled(numbers, random)) {
    const sides = random() < 0.5 ? [0, 1] : [1, 0];
    steps.push(() => preference(item, sides));
  }
  steps.push(finish);
}

function pause(key, title, text) {
  const go = make("button", { textContent: "Go on", id: "go" });
  go.onclick = next;
  show(make("h1", { textContent: title }), prompt(key, text), go);
}

function choices(name, options, go) {
  const set = make("fieldset", {}, make("legend", { textContent: name }));
  options.forEach(([value, text], i) => {
    const input = make("input", { type: "radio", name: "answer", value, id: `answer${i}` });
    input.onchange = () => { go.disabled = false; };
    set.append(make("label", {}, input, ` ${text}`));
  });
  return set;
}

function counted(node, counts) {
  node.addEventListener("play", () => { counts.plays += 1; });
  return node;
}

function comprehension(item, system, options) {
  const { question, sentence } = study.items[item];
  const counts = { plays: 0 };
  const began = performance.now();
  const go = make("button", { textContent: "Go on", id: "go", disabled: true });
  const set = choices("What did the signer say?", [...options.map((o) => [o, o]), ["?", "I could not understand it"]], go);
  go.onclick = () => {
    const answer = stage.querySelector("input[name=answer]:checked").value;
    record({
      phase: "comprehension", item: item + 1, sentence, system: study.systems[system], answer,
      correct: answer === study.items[item].options[0] ? 1 : 0,
      seconds: ((performance.now() - began) / 1000).toFixed(1), plays: counts.plays,
    });
    next();
  };
  show(counted(video(study.videos[item][system], "The signing in question"), counts),
    prompt(`question ${item + 1}`, question), set, go);
}

function preference(item, sides) {
  const { sentence } = study.items[item];
  const counts = { plays: 0 };
  const began = performance.now();
  const go = make("button", { textContent: "Go on", id: "go", disabled: true });
  const comment = make("textarea", { id: "comment", rows: 2, maxLength: 500 });
  const pair = make("div", { className: "pair" }, ...sides.map((system, k) => make("figure", {},
    counted(video(study.videos[item][system], k ? "Video B" : "Video A"), counts),
    make("figcaption", { textContent: k ? "Video B" : "Video A" }))));
  const set = choices(study.prompts.compare, [["A", "A is easier"], ["B", "B is easier"], ["same", "They are the same"], ["neither", "Neither can be understood"]], go);
  go.onclick = () => {
    const answer = stage.querySelector("input[name=answer]:checked").value;
    const chosen = { A: 0, B: 1 }[answer];
    record({
      phase: "preference", item: item + 1, sentence, system: study.systems[sides[0]], other_system: study.systems[sides[1]],
      answer: chosen === undefined ? answer : study.systems[sides[chosen]],
      seconds: ((performance.now() - began) / 1000).toFixed(1), plays: counts.plays, comment: comment.value.trim(),
    });
    next();
  };
  show(make("p", { textContent: `The sentence: ${sentence}` }), pair, prompt("compare", study.prompts.compare), set,
    make("label", {}, "What was hard to understand? (optional)", comment), go);
}

// Quotes where needed; a cell that a spreadsheet would run as a formula is marked as text.
function cell(value) {
  let text = String(value ?? "");
  if (/^[=+\-@\t\r]/.test(text)) text = `'${text}`;
  return /[",\n\r]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

function csv() {
  return [COLUMNS, ...rows.map((r) => COLUMNS.map((c) => r[c]))].map((r) => r.map(cell).join(",")).join("\r\n") + "\r\n";
}

function finish() {
  document.getElementById("progress").value = 1;
  const link = make("a", {
    href: URL.createObjectURL(new Blob([csv()], { type: "text/csv" })),
    download: `study-${study.id}-${participant.replace(/[^A-Za-z0-9_-]/g, "_")}.csv`, id: "save",
  }, make("button", { textContent: "Save my answers (CSV)", tabIndex: -1 }));
  link.addEventListener("click", () => { window.onbeforeunload = null; });
  show(make("h1", { textContent: "That was all" }), prompt("thanks", study.prompts.thanks), make("p", {}, link),
    make("p", { textContent: `Send the file to: ${study.contact}` }));
}

steps = [welcome, facts];
window.onbeforeunload = () => (at > 0 && at < steps.length - 1 ? true : undefined);
next();
