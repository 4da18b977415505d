// The page: what happens when one writes, chooses, and changes a setting.

import {keepForOffline, need, watchDownloads} from "./downloads.js";
import {Guide} from "./guide.js";
import {currentLanguage, say, speak} from "./messages.js";
import {Pad} from "./pad.js";
import {formOdds} from "./placement.js";
import {remember, remembered} from "./preferences.js";
import {rank, worthOffering} from "./ranking.js";
import {prepareRuntime, Recognizer} from "./recognizer.js";
import {TextLine} from "./text-line.js";

const PAD = [1, 1]; // its width and height, in the unit of its strokes

const $ = (id) => document.getElementById(id);

let models = [];
let entry = null; // the chosen line of models/index.json
let recognizer = null;
let script = "all";
let answer = {isUnknown: false, candidates: []};
let asked = 0; // recognitions asked for: an answer that comes late is dropped
let status = ["preparing"];

const text = new TextLine(
  {input: $("text"), backspace: $("backspace"), copy: $("copy")},
  {spoken: (sentence) => ($("spoken").textContent = sentence), problem},
);
const guide = new Guide({
  drawing: $("guide-drawing"),
  about: $("guide-about"),
  steps: $("guide-steps"),
  replay: $("replay"),
});
const pad = new Pad($("pad"), {start: hideHint, change: recognize});

// --- recognizing -----------------------------------------------------------------------------------------------------

async function recognize() {
  const number = ++asked;
  $("hint").hidden = pad.strokes.length > 0;
  $("undo").disabled = $("clear").disabled = pad.strokes.length === 0;
  if (!pad.strokes.length || !recognizer) return showAnswer({isUnknown: false, candidates: []});
  try {
    const start = performance.now();
    const odds = formOdds(pad.strokes, PAD);
    const probabilities = await recognizer.recognize(pad.strokes);
    performance.measure("recognition", {start});
    if (number !== asked) return;
    problem(null);
    const {isUnknown, candidates} = rank(probabilities, recognizer.classes, {script, odds});
    showAnswer({isUnknown, candidates: worthOffering(candidates)});
  } catch (error) {
    console.warn(error);
    if (number === asked) problem("recognitionFailed");
  }
}

function hideHint() {
  $("hint").hidden = true;
}

function showAnswer(found) {
  answer = found;
  const rows = answer.candidates;
  $("candidates").replaceChildren(...rows.map(candidateButton));
  $("candidates").scrollLeft = 0;
  $("note").textContent = answer.isUnknown ? say("unknown") : "";
  const list = rows.slice(0, 3).map(spokenCandidate).join(currentLanguage() === "ja" ? "、" : "; ");
  $("spoken").textContent = [$("note").textContent, list && say("spoken", {list})].filter(Boolean).join(" ");
  if (rows.length && !answer.isUnknown) guide.show(entry.name, rows[0].character);
}

function candidateButton({character, probability}, index) {
  const button = document.createElement("button");
  button.type = "button";
  button.ariaLabel = spokenCandidate({character, probability});
  button.dataset.character = character;
  const [glyph, bar, share] = ["b", "i", "small"].map((tag) => document.createElement(tag));
  glyph.textContent = character;
  bar.style.setProperty("--share", probability);
  share.textContent = percent(probability);
  button.append(glyph, bar, share);
  button.addEventListener("click", () => choose(index));
  const item = document.createElement("li");
  item.append(button);
  return item;
}

function spokenCandidate({character, probability}) {
  return say("candidate", {character, percent: Math.round(100 * probability)});
}

function percent(probability) {
  if (probability < 0.001) return "<0.1%";
  return `${(100 * probability).toFixed(probability < 0.0995 ? 1 : 0)}%`;
}

function choose(index) {
  const chosen = answer.candidates[index];
  if (!chosen) return;
  text.insert(chosen.character);
  pad.clear();
  guide.show(entry.name, chosen.character);
}

// --- models ----------------------------------------------------------------------------------------------------------

async function start() {
  watchDownloads(showProgress);
  speak(remembered("language") ?? (navigator.language.startsWith("ja") ? "ja" : "en"));
  useTheme(remembered("theme"));
  recognize();
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

async function useModel(chosen) {
  entry = chosen;
  $("model").value = chosen.name;
  recognizer?.delete();
  recognizer = null;
  script = "all";
  setStatus("preparing");
  fillFilter();
  guide.clear();
  recognize();
  try {
    await prepareRuntime();
  } catch (error) {
    console.warn(error);
    return problem("runtimeFailed");
  }
  let loaded;
  try {
    loaded = await Recognizer.load(chosen);
  } catch (error) {
    console.warn(error);
    if (entry === chosen) problem("modelFailed", {name: chosen.title});
    return;
  }
  if (entry !== chosen) return loaded.delete(); // another one was chosen meanwhile
  recognizer = loaded;
  remember("model", chosen.name);
  performance.mark("recognizer-ready");
  $("loading").hidden = true;
  problem(null);
  setStatus("ready");
  showCredit();
  recognize();
  need(`models/${chosen.name}/strokes.json`);
  if (await keepForOffline() && entry === chosen) setStatus("offline");
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
  if (entry) $("model").value = entry.name;
}

function fillFilter() {
  const scripts = entry?.scripts ?? [];
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
