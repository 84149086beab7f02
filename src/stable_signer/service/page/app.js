// The page: text to plan, plan to video, and changing the plan. No library, no build.

import { Player } from "/player.js";

const $ = (id) => document.getElementById(id);
const state = { plan: null, undo: [], chosen: -1, stale: false, running: null, signed: null, adding: false };
const REDUCED = matchMedia("(prefers-reduced-motion: reduce)");
const FACES = {
  "wh-question": "brows down",
  "yes-no-question": "brows up",
  negation: "headshake",
  topic: "brows up",
  conditional: "brows up",
  affirmation: "nod",
};
let shown = null; // the sign that is highlighted
const FORMATS = { mp4: "mp4", webm: "webm", gif: "gif", vtt: "vtt", pose: "pose", json: "json" };

const BUSY_TRIES = 10;

// --- talking to the server ---

async function call(path, body, options = {}) {
  const token = sessionStorage.getItem("token");
  const headers = { "content-type": "application/json" };
  if (token) headers.authorization = `Bearer ${token}`;
  const response = await fetch(path, {
    method: body ? "POST" : "GET",
    headers,
    body: body && JSON.stringify(body),
    ...options,
  });
  if (response.ok) return response;
  const { tries = 0, ...rest } = options;
  if (response.status === 429 && tries < BUSY_TRIES) {
    const seconds = Number(response.headers.get("retry-after")) || 5;
    say(`The server is busy. Trying again in ${seconds} seconds…`);
    await pause(seconds, rest.signal);
    return call(path, body, { ...rest, tries: tries + 1 });
  }
  let told = `the server answered ${response.status}`;
  if ((response.headers.get("content-type") || "").includes("json")) told = (await response.json()).detail || told;
  if (response.status === 401) {
    $("token-form").hidden = false;
    $("token").focus();
  }
  throw new Error(told);
}

function pause(seconds, signal) {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(resolve, seconds * 1000);
    signal?.addEventListener("abort", () => {
      clearTimeout(timer);
      reject(new DOMException("stopped", "AbortError"));
    });
  });
}

const say = (text) => ($("status").textContent = text);

function fail(error) {
  if (error.name === "AbortError") return say("Stopped.");
  const text = error.message === "Failed to fetch" ? "the server does not answer: is it running?" : error.message;
  $("error").textContent = text.charAt(0).toUpperCase() + text.slice(1) + (/[.?!]$/.test(text) ? "" : ".");
  say("");
}

// --- settings ---

function settings() {
  return {
    signer: $("signer").value || null,
    style: $("style").value || null,
    size: Number($("size").value),
    left_handed: $("left").checked || null, // not ticked: as the text or the plan wishes
  };
}

function link() {
  const p = new URLSearchParams({ text: $("text").value, speed: $("speed").value, language: $("language").value });
  for (const [key, value] of Object.entries(settings())) if (value) p.set(key, value === true ? "1" : value);
  return `${location.origin}${location.pathname}#${p}`;
}

function readLink() {
  const p = new URLSearchParams(location.hash.slice(1));
  if (!p.has("text")) return;
  $("text").value = p.get("text");
  for (const id of ["signer", "style", "size", "speed", "language"]) {
    if (p.has(id)) $(id).value = p.get(id);
    if (!$(id).value) $(id).selectedIndex = 0;
  }
  $("left").checked = p.get("left_handed") === "1";
}

async function fill() {
  try {
    const [signers, styles, languages, limits] = await Promise.all(
      ["signers", "styles", "languages", "limits"].map((n) => call(`/v1/${n}`).then((r) => r.json())),
    );
    const put = (id, items, name) =>
      $(id).replaceChildren(...items.map((item) => new Option(name(item), item.id)));
    put("signer", signers.items, (s) => s.name || s.id);
    put("style", styles.items, (s) => s.id.replaceAll("-", " "));
    put("language", languages.items, (l) => l.name);
    $("text").maxLength = limits.characters;
    for (const option of [...$("size").options]) if (Number(option.value) > limits.size) option.remove();
    const about = () => {
      const card = signers.items.find((s) => s.id === $("signer").value);
      const works = languages.items.find((l) => l.id === $("language").value);
      const told = [card && `Signer: ${card.description}.`, works && `${works.name}: ${works.works}.`];
      $("signer-about").textContent = told.filter(Boolean).join(" ");
    };
    const face = async (id) => {
      const image = $(`${id}-face`);
      const name = $(id).value;
      try {
        const blob = await (await call(`/v1/${id}s/${encodeURIComponent(name)}/thumbnail.png`)).blob();
        if ($(id).value !== name) return;
        if (image.src) URL.revokeObjectURL(image.src);
        image.src = URL.createObjectURL(blob);
        image.hidden = false;
      } catch {
        image.hidden = true; // a picture that fails to come is no reason to stop
      }
    };
    for (const id of ["signer", "style"]) $(id).addEventListener("change", () => face(id));
    $("signer").addEventListener("change", about);
    $("language").addEventListener("change", about);
    readLink();
    about();
    face("signer");
    face("style");
    count();
    $("speed").dispatchEvent(new Event("input"));
  } catch (error) {
    fail(error);
  }
}

function count() {
  const { value, maxLength } = $("text");
  $("text-count").textContent = maxLength > 0 ? `${value.length} of ${maxLength} characters` : "";
}

// --- signing ---

async function understand() {
  const body = { input: $("text").value, language: $("language").value, speed: Number($("speed").value) };
  return (await call("/v1/plan", body, { signal: state.running.signal })).json();
}

async function run(makePlan) {
  if (state.running) state.running.abort();
  const running = (state.running = new AbortController());
  $("error").textContent = "";
  $("stop").hidden = false;
  say("Working out the signs…");
  const started = performance.now();
  try {
    const plan = await makePlan();
    setPlan(plan);
    state.stale = false;
    state.signed = settings();
    refresh();
    say("Making the video…");
    $("video").setAttribute("aria-label", `The signing of: ${plan.text}`);
    const response = await call(
      "/v1/signing",
      { plan, ...state.signed, stream: true },
      { signal: running.signal },
    );
    await player.show(response, {
      autoplay: !REDUCED.matches,
      first: () => {
        $("empty").hidden = true;
        document.body.dataset.firstPicture = String(Math.round(performance.now() - started));
        say(REDUCED.matches ? "Ready: press Play." : "Playing while it is made.");
        enable(true);
      },
    });
    document.body.dataset.complete = String(Math.round(performance.now() - started));
    say(`Done: ${player.length.toFixed(1)} seconds of signing.`);
  } catch (error) {
    if (state.running === running) fail(error);
  } finally {
    if (state.running === running) {
      state.running = null;
      $("stop").hidden = true;
    }
  }
}

// --- the plan ---

function setPlan(plan) {
  state.plan = plan;
  $("plan-section").hidden = false;
  $("link").value = link();
  const c = plan.coverage;
  const parts = [
    [c.lexicon, "from the lexicon"],
    [c.composed, "built from parts"],
    [c.fingerspelled, "spelled"],
    [c.approximate, "only roughly right"],
    [c.dropped, "left out"],
  ].filter(([n]) => n);
  $("coverage").textContent = `Signs: ${parts.map(([n, what]) => `${n} ${what}`).join(", ")}.`;
  const notes = [...plan.notes];
  if (plan.dropped.length) notes.unshift(`Left out: ${plan.dropped.join(", ")}`);
  $("notes").replaceChildren(...notes.map((note) => element("li", { textContent: note })));
  drawSigns();
}

function element(name, properties, ...children) {
  const made = Object.assign(document.createElement(name), properties);
  made.append(...children);
  return made;
}

function kindOf(sign) {
  if (sign.kind === "pause") return `pause, ${(sign.end - sign.start).toFixed(1)} s`;
  const kind = sign.source === "alphabet" ? "spelled" : sign.kind === "number" ? "number" : "";
  return [kind, sign.approximate ? "roughly" : ""].filter(Boolean).join(", ");
}

function faceOver(sign) {
  const middle = (sign.start + sign.end) / 2;
  const over = state.plan.nonmanuals.filter((n) => n.start <= middle && middle <= n.end);
  return over.map((n) => FACES[n.kind] || n.kind.replaceAll("-", " ")).join(", ");
}

function drawSigns() {
  const { plan } = state;
  const starts = new Set(plan.sentences.slice(1).map((s) => plan.signs.findIndex((g) => g.start >= s.start - 1e-3)));
  const items = plan.signs.map((sign, i) => {
    const face = faceOver(sign);
    const name = sign.kind === "pause" ? "…" : sign.gloss.replace(/^fs-/, "").split("").join(sign.source === "alphabet" ? "-" : "");
    const button = element("button", { type: "button" }, name);
    const about = [kindOf(sign), sign.text && sign.kind !== "pause" ? `“${sign.text}”` : ""].filter(Boolean).join(" ");
    if (about) button.append(element("small", { textContent: about }));
    if (face) button.append(element("span", { className: "face on", textContent: face }));
    button.setAttribute("aria-pressed", String(i === state.chosen));
    button.addEventListener("click", () => choose(i));
    return element("li", { className: starts.has(i) ? "sentence-start" : "" }, button);
  });
  $("signs").replaceChildren(...items);
  shown = null; // the highlight went with the old buttons
  showChosen();
}

function choose(i, { seek = true } = {}) {
  state.chosen = i;
  [...$("signs").children].forEach((li, n) => li.firstChild.setAttribute("aria-pressed", String(n === i)));
  if (seek && player.ready && !state.stale) {
    player.video.pause();
    player.seek(state.plan.signs[i].start + 0.02);
  }
  showChosen();
}

function showChosen() {
  const sign = state.plan && state.plan.signs[state.chosen];
  $("chosen").hidden = !sign;
  if (!sign) return;
  const last = state.plan.signs.length - 1;
  $("chosen-title").textContent = `Chosen: ${sign.gloss}, ${state.chosen + 1} of ${last + 1}`;
  $("chosen-about").textContent = `${sign.start.toFixed(2)} to ${sign.end.toFixed(2)} s. ${kindOf(sign)} ${faceOver(sign)}`;
  $("earlier").disabled = state.chosen === 0;
  $("later").disabled = state.chosen === last;
  $("change").disabled = sign.kind === "pause";
}

async function edit(change, said, chosen = state.chosen) {
  $("error").textContent = "";
  try {
    const body = { plan: state.plan, edits: [change], speed: Number($("speed").value) };
    const plan = await (await call("/v1/plan/edit", body)).json();
    state.undo.push(state.plan);
    state.stale = true;
    state.chosen = Math.max(0, Math.min(chosen, plan.signs.length - 1));
    setPlan(plan);
    refresh();
    say(`${said} Press “Show the changed signing” to see it.`);
  } catch (error) {
    fail(error);
  }
}

function refresh() {
  $("again").hidden = !state.stale;
  $("undo").hidden = !state.undo.length;
}

// --- the dialog that finds a sign ---

let searching = 0;

async function find(word) {
  const turn = ++searching;
  try {
    const { glosses } = await (await call(`/v1/glosses?limit=30&q=${encodeURIComponent(word)}`)).json();
    if (turn !== searching) return;
    const options = glosses.map((g) => {
      const option = new Option(`${g.gloss}${g.words.length ? `: ${g.words.slice(0, 4).join(", ")}` : ""}`, g.gloss);
      option.dataset.about = [g.approximate ? "Only roughly right." : "", g.note].filter(Boolean).join(" ");
      return option;
    });
    $("variants").replaceChildren(...options);
    $("variants").selectedIndex = options.length ? 0 : -1;
    $("variant-about").textContent = options.length ? `${options.length} signs found.` : "No sign found: spell it.";
    $("use").disabled = !options.length;
  } catch (error) {
    $("variant-about").textContent = error.message;
  }
}

function openDialog(adding) {
  const sign = state.plan.signs[state.chosen];
  state.adding = adding;
  $("dialog-title").textContent = adding ? `Add a sign before ${sign.gloss}` : `Change ${sign.gloss}`;
  $("spell-part").hidden = adding;
  const word = adding ? "" : sign.text || sign.gloss.replace(/^fs-/, "").toLowerCase();
  $("search").value = word;
  $("spell").value = word;
  $("dialog").showModal();
  $("search").focus();
  find(word);
}

function useSign() {
  const gloss = $("variants").value;
  if (!gloss) return;
  $("dialog").close();
  const at = state.chosen;
  if (state.adding) edit({ op: "insert", at, gloss }, `${gloss} added.`);
  else edit({ op: "replace", at, gloss }, `Changed to ${gloss}.`);
}

// --- downloads ---

async function download(format) {
  $("error").textContent = "";
  say(`Making the ${format} file…`);
  try {
    const body = { plan: state.plan, ...settings(), response_format: FORMATS[format] };
    const url = URL.createObjectURL(await (await call("/v1/signing", body)).blob());
    element("a", { href: url, download: `signing.${format}` }).click();
    setTimeout(() => URL.revokeObjectURL(url), 60_000);
    say(`The ${format} file is ready.`);
  } catch (error) {
    fail(error);
  }
}

// --- wiring ---

const player = new Player($("video"), {
  onTime(time) {
    $("seek").max = player.length.toFixed(2);
    if (document.activeElement !== $("seek") || !player.video.paused) $("seek").value = time;
    $("seek").setAttribute("aria-valuetext", `${time.toFixed(1)} of ${player.length.toFixed(1)} seconds`);
    if (!state.plan || state.stale) return;
    const i = state.plan.signs.findIndex((s) => s.start <= time && time < s.end);
    const sentence = state.plan.sentences.find((s) => s.start - 0.3 <= time && time <= s.end + 0.3);
    const caption = sentence ? sentence.text : "\u00a0";
    if ($("caption").textContent !== caption) $("caption").textContent = caption;
    if (i === shown) return;
    shown = i;
    [...$("signs").children].forEach((li, n) => {
      if (n === i) li.firstChild.setAttribute("aria-current", "true");
      else li.firstChild.removeAttribute("aria-current");
    });
    $("now").textContent = i < 0 ? "none" : state.plan.signs[i].gloss;
  },
  onState() {
    $("play").textContent = player.video.paused ? "Play" : "Pause";
  },
});

function enable(on) {
  for (const id of ["play", "back", "forward", "replay", "loop", "mirror", "full", "seek"]) $(id).disabled = !on;
}

function pressed(id, on) {
  $(id).setAttribute("aria-pressed", String(on));
}

function replaySign() {
  const { signs } = state.plan;
  const time = player.video.currentTime;
  let i = signs.findIndex((s) => s.start <= time + 0.05 && time < s.end);
  if (i < 0) i = state.chosen >= 0 ? state.chosen : signs.findLastIndex((s) => s.start <= time);
  const sign = signs[Math.max(0, i)];
  player.fps = 25;
  player.replay(sign.start, sign.end);
  say(`${sign.gloss}, slowly.`);
}

function toggleLoop() {
  player.loop = !player.loop;
  pressed("loop", player.loop);
}

function toggleMirror() {
  pressed("mirror", $("stage").classList.toggle("mirrored"));
}

$("form").addEventListener("submit", (event) => {
  event.preventDefault();
  state.undo = [];
  state.chosen = -1;
  history.replaceState(null, "", link());
  run(understand);
});
$("stop").addEventListener("click", () => state.running && state.running.abort());
$("again").addEventListener("click", () => run(async () => state.plan));
$("undo").addEventListener("click", () => {
  state.stale = true;
  setPlan(state.undo.pop());
  refresh();
  say("The last change is undone.");
});
$("text").addEventListener("input", count);
$("speed").addEventListener("input", () => ($("speed-out").textContent = Number($("speed").value).toFixed(1)));
for (const id of ["signer", "style", "size", "left"]) {
  $(id).addEventListener("change", () => {
    if (!state.plan) return;
    state.stale = true;
    $("link").value = link();
    refresh();
  });
}
$("play").addEventListener("click", () => player.toggle());
$("back").addEventListener("click", () => player.step(-1));
$("forward").addEventListener("click", () => player.step(1));
$("replay").addEventListener("click", replaySign);
$("loop").addEventListener("click", toggleLoop);
$("mirror").addEventListener("click", toggleMirror);
$("full").addEventListener("click", () => $("stage").requestFullscreen && $("stage").requestFullscreen());
$("rate").addEventListener("change", () => player.setRate(Number($("rate").value)));
$("seek").addEventListener("input", () => player.seek(Number($("seek").value)));
$("controls").addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.target.tagName === "SELECT" || !player.ready) return;
  const action = { ",": () => player.step(-1), ".": () => player.step(1), l: toggleLoop, m: toggleMirror }[
    event.key.toLowerCase()
  ];
  if (action) {
    event.preventDefault();
    action();
  }
});
$("change").addEventListener("click", () => openDialog(false));
$("add").addEventListener("click", () => openDialog(true));
$("earlier").addEventListener("click", () =>
  edit({ op: "move", at: state.chosen, to: state.chosen - 1 }, "Moved.", state.chosen - 1),
);
$("later").addEventListener("click", () =>
  edit({ op: "move", at: state.chosen, to: state.chosen + 1 }, "Moved.", state.chosen + 1),
);
$("pause").addEventListener("click", () =>
  edit({ op: "pause", at: state.chosen, seconds: 0.5 }, "A pause of half a second is added.", state.chosen + 1),
);
$("remove").addEventListener("click", () => edit({ op: "remove", at: state.chosen }, "Removed."));
$("use").addEventListener("click", useSign);
$("variants").addEventListener("dblclick", useSign);
$("variants").addEventListener("change", () => {
  const option = $("variants").selectedOptions[0];
  $("variant-about").textContent = option ? option.dataset.about : "";
});
$("search").addEventListener("input", () => find($("search").value));
$("search").addEventListener("keydown", (event) => {
  if (event.key === "Enter") {
    event.preventDefault();
    useSign();
  }
});
$("use-spell").addEventListener("click", () => {
  $("dialog").close();
  edit({ op: "spell", at: state.chosen, text: $("spell").value }, `${$("spell").value} is spelled.`);
});
$("spell").addEventListener("keydown", (event) => {
  if (event.key === "Enter") {
    event.preventDefault();
    $("use-spell").click();
  }
});
$("dialog").addEventListener("close", () => $("change").focus());
for (const button of document.querySelectorAll("[data-format]")) {
  button.addEventListener("click", () => download(button.dataset.format));
}
$("copy").addEventListener("click", async () => {
  $("link").select();
  try {
    await navigator.clipboard.writeText($("link").value);
    say("The link is copied.");
  } catch {
    say("The link is selected: copy it with Ctrl+C.");
  }
});
$("token-form").addEventListener("submit", (event) => {
  event.preventDefault();
  sessionStorage.setItem("token", $("token").value);
  $("token-form").hidden = true;
  $("error").textContent = "";
  fill();
});
for (const article of document.querySelectorAll("#help-parts article")) {
  const title = article.querySelector("h3").textContent;
  const button = element("button", { type: "button", textContent: `Sign this: ${title}` });
  button.addEventListener("click", () => {
    $("text").value = article.querySelector(".help-text").textContent;
    count();
    $("form").requestSubmit();
    $("stage").scrollIntoView({ block: "center" });
  });
  article.append(button);
}
window.addEventListener("hashchange", () => {
  readLink();
  count();
});
fill();
