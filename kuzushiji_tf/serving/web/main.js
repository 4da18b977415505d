// The page: what happens when one writes, chooses, and changes a setting.

import {showCandidates, spokenList} from "./candidates.js";
import {keepForOffline, need, watchDownloads} from "./downloads.js";
import {Guide} from "./guide.js";
import {currentLanguage, say, speak} from "./messages.js";
import {Pad} from "./pad.js";
import {formOdds} from "./placement.js";
import {remember, remembered} from "./preferences.js";
import {rank, worthOffering} from "./ranking.js";
import {prepareRuntime, Recognizer, runtimeIsThere} from "./recognizer.js";
import {TextLine} from "./text-line.js";
import {FOLLOWED, readText} from "./words.js";

const WORDS = 5; // readings of a word that are offered

const $ = (id) => document.getElementById(id);

let models = [];
let recognizer = null;
let entry = null; // its line of models/index.json
let wanted = null; // the line that was chosen, which may still be loading
let script = "all";
let mode = "character"; // or "word": what one writes before one chooses
const NOTHING = {isUnknown: false, rows: [], shown: ""};
let answer = NOTHING;
let asked = 0; // recognitions asked for: an answer that comes late is dropped
let status = ["preparing"];

const text = new TextLine(
  {input: $("text"), backspace: $("backspace"), copy: $("copy")},
  {spoken: (sentence) => ($("spoken").textContent = sentence), problem},
);
const guide = new Guide({
  drawing: $("guide-drawing"),
  about: $("guide-about"),
  order: $("guide-order"),
  steps: $("guide-steps"),
  replay: $("replay"),
});
const pad = new Pad($("pad"), {start: hideHint, change: recognize});

// --- recognizing -----------------------------------------------------------------------------------------------------

async function recognize() {
  const number = ++asked;
  $("hint").hidden = pad.strokes.length > 0;
  $("undo").disabled = $("clear").disabled = pad.strokes.length === 0;
  if (!pad.strokes.length || !recognizer) return showAnswer(NOTHING);
  try {
    const start = performance.now();
    const found = await (mode === "word" ? readWord() : readCharacter());
    performance.measure("recognition", {start});
    if (number !== asked) return;
    problem(null);
    showAnswer(found);
  } catch (error) {
    console.warn(error);
    if (number === asked) problem("recognitionFailed");
  }
}

async function readCharacter() {
  const odds = formOdds(pad.strokes, pad.size);
  const {isUnknown, candidates} = rank(await recognizer.recognize(pad.strokes), recognizer.classes, {script, odds});
  const rows = worthOffering(candidates).map(({character, probability}) => ({text: character, probability}));
  return {isUnknown, rows, shown: rows[0]?.text ?? ""};
}

async function readWord() {
  const reader = recognizer; // another one may be chosen meanwhile
  const seen = new Map(); // both directions have some pieces in common
  const read = async (strokes, odds = formOdds(strokes, pad.size)) => {
    const key = strokes[0];
    if (!seen.has(key)) seen.set(key, []);
    const known = seen.get(key);
    known[strokes.length] ??= await reader.recognize(strokes);
    return rank(known[strokes.length], reader.classes, {script, odds, count: FOLLOWED}).candidates;
  };
  const rows = await readText(pad.strokes, read, WORDS);
  return {isUnknown: false, rows, shown: rows[0].segments.at(-1).candidates[0].character};
}

function hideHint() {
  $("hint").hidden = true;
}

function showAnswer(found) {
  answer = found;
  showCandidates($("candidates"), answer.rows, choose);
  $("note").textContent = answer.isUnknown ? say("unknown") : "";
  const list = spokenList(answer.rows);
  $("spoken").textContent = [$("note").textContent, list && say("spoken", {list})].filter(Boolean).join(" ");
  if (!answer.shown || answer.isUnknown) return guide.uncheck();
  guide.show(entry.name, answer.shown);
  if (mode === "character") checkOrder(asked);
}

async function checkOrder(number) {
  const wrong = await guide.check(pad.strokes);
  if (number === asked) pad.mark(wrong);
}

function choose(index) {
  const chosen = answer.rows[index];
  if (!chosen) return;
  text.insert(chosen.text);
  // Its button goes: whoever pressed it by keyboard goes on at the pad.
  if ($("candidates").contains(document.activeElement)) $("pad").focus();
  pad.clear();
  guide.show(entry.name, [...chosen.text].at(-1));
}

function useMode(chosen) {
  mode = chosen === "word" ? "word" : "character";
  document.querySelector("main").dataset.mode = mode;
  document.querySelector(`#mode [value=${mode}]`).checked = true;
  $("hint").dataset.text = mode === "word" ? "hintWord" : "hint";
  $("hint").textContent = say($("hint").dataset.text);
  pad.clear();
}

// --- models ----------------------------------------------------------------------------------------------------------

async function start() {
  watchDownloads(showProgress);
  speak(remembered("language") ?? (navigator.language.startsWith("ja") ? "ja" : "en"));
  useTheme(remembered("theme"));
  useMode(remembered("mode"));
  sayEverything();
  try {
    need("models/index.json");
    const response = await fetch("models/index.json");
    if (response.ok) models = await response.json();
  } catch (error) {
    console.warn(error);
  }
  if (!models.length) return problem("noModels");
  fillPicker();
  await useModel(models.find(({name}) => name === remembered("model")) ?? models[0]);
}

/** Loads a recognizer; the one before it reads until then, and stays where the new one cannot be had. */
async function useModel(chosen) {
  wanted = chosen;
  $("model").value = chosen.name;
  if (!entry) fillFilter();
  setStatus("preparing");
  let loaded;
  try {
    await prepareRuntime();
    loaded = await Recognizer.load(chosen);
  } catch (error) {
    console.warn(error);
    if (wanted !== chosen) return; // another one was chosen meanwhile
    problem(runtimeIsThere() ? "modelFailed" : "runtimeFailed", {name: chosen.title});
    if (!entry) return;
    wanted = entry;
    $("model").value = entry.name;
    return setStatus("ready");
  }
  if (wanted !== chosen) return loaded.delete();
  recognizer?.delete();
  recognizer = loaded;
  entry = chosen;
  script = "all";
  fillFilter();
  guide.clear();
  remember("model", chosen.name);
  performance.mark("recognizer-ready");
  $("loading").hidden = true;
  problem(null);
  setStatus("ready");
  showCredit();
  recognize();
  need(`models/${chosen.name}/strokes.json`);
  if (await keepForOffline() && wanted === chosen) setStatus("offline");
}

function fillPicker() {
  $("model").replaceChildren(
    ...models.map((model) => {
      const scripts = model.scripts.map((each) => say(each)).join(currentLanguage() === "ja" ? "・" : ", ");
      // Models that do not look for the ink's box learned from scans of brush writing.
      const kind = [model.normalization === "none" && say("brush"), model.title === model.name && scripts];
      return new Option(
        say("modelOption", {title: model.title, kind: kind.filter(Boolean).join(" "), classes: model.classes}),
        model.name,
      );
    }),
  );
  if (wanted) $("model").value = wanted.name;
}

function fillFilter() {
  const scripts = (entry ?? wanted)?.scripts ?? [];
  $("filter").hidden = scripts.length < 2;
  $("filter").replaceChildren(
    ...["all", ...scripts].map((each) => {
      const label = document.createElement("label");
      const input = document.createElement("input");
      Object.assign(input, {type: "radio", name: "script", value: each, checked: each === script});
      input.addEventListener("change", () => {
        script = each;
        recognize();
      });
      label.append(input, say(each));
      return label;
    }),
  );
}

function showCredit() {
  const training = recognizer?.card.training;
  if (!training) return;
  $("credit").textContent = say("credit", {data: training.name, credit: training.credit, licence: training.licence});
}

// --- status, language, theme -----------------------------------------------------------------------------------------

function setStatus(...message) {
  status = message;
  $("status").textContent = say(...status);
  $("status").dataset.state = status[0];
}

function showProgress(received, expected) {
  const [loaded, total] = [received, expected].map((bytes) => (bytes / 1e6).toFixed(1));
  $("loading").ariaValueNow = Math.round((100 * received) / expected);
  $("loading").style.setProperty("--share", received / expected);
  if (!recognizer) setStatus(received < expected ? "loadingBytes" : "preparing", {loaded, total});
}

function problem(name, values) {
  $("problem").textContent = name ? say(name, values) : "";
}

function sayEverything() {
  fillPicker();
  fillFilter();
  setStatus(...status);
  showCredit();
  nameTheme();
  $("language").textContent = say("otherLanguage");
  $("language").lang = currentLanguage() === "ja" ? "en" : "ja";
  guide.retell();
  showAnswer(answer);
}

function isDark() {
  const chosen = document.documentElement.dataset.theme;
  return chosen ? chosen === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
}

function useTheme(theme) {
  if (theme) document.documentElement.dataset.theme = theme;
  nameTheme();
  pad.draw();
}

function nameTheme() {
  $("theme").ariaLabel = say(isDark() ? "light" : "dark");
  $("theme").classList.toggle("in-dark", isDark());
  const paper = getComputedStyle(document.documentElement).getPropertyValue("--ground").trim();
  document.querySelector("meta[name=theme-color]").content = paper;
}

// --- events ----------------------------------------------------------------------------------------------------------

$("undo").addEventListener("click", () => pad.undo());
$("clear").addEventListener("click", () => pad.clear());
$("model").addEventListener("change", ({target}) => useModel(models.find(({name}) => name === target.value)));
$("mode").addEventListener("change", ({target}) => {
  remember("mode", target.value);
  useMode(target.value);
});
$("theme").addEventListener("click", () => {
  const theme = isDark() ? "light" : "dark";
  remember("theme", theme);
  useTheme(theme);
});
$("language").addEventListener("click", () => {
  const language = currentLanguage() === "ja" ? "en" : "ja";
  remember("language", language);
  speak(language);
  sayEverything();
});
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => useTheme(null));
document.addEventListener("keydown", (event) => {
  const typing = event.target === $("text") || event.target === $("model");
  if (event.key === "Escape") pad.clear();
  else if (typing || event.altKey) return;
  else if (event.key === "z" && (event.ctrlKey || event.metaKey)) pad.undo();
  else if (/^[1-9]$/.test(event.key) && !event.ctrlKey && !event.metaKey) choose(Number(event.key) - 1);
  else return;
  event.preventDefault();
});

start();
