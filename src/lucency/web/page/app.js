// The page: films come in, are read one after another, and are looked at.

import { openCamera } from "./camera.js";
import { keepOffline, onDrop, onKeys } from "./controls.js";
import { checked, start } from "./engine.js";
import { FilmError } from "./errors.js";
import { KEY } from "./evidence.js";
import { decode, lungsOf } from "./film_queue.js";
import { languages, say, sayAll } from "./i18n.js";
import { settings } from "./lucency.js";
import { readFilm } from "./reading.js";
import { by, facts, HAS_LUNGS, make, showBefore, showCaption, showPanel } from "./reading_view.js";
import { download, sheet } from "./save.js";
import { VIEW, Viewer } from "./viewer.js";
import { drawList, entry, sortEntries, thumbnail } from "./worklist.js";

const view = { ...VIEW };
const panes = [...document.querySelectorAll(".pane")];
const viewers = panes.map((pane) => new Viewer(pane.querySelector("canvas"), view, changed));
const shown = [null, null], turns = [0, 0];
/** The entry in each pane, and how often another was asked for there. */
let entries = [], engine = null, focus = 0, waiting = Promise.resolve(), photographs = 0, saved = 0, chosen = false;
/** focus: the pane that the panel is about, and that the worklist's choice goes to. */

function add(found) {
  if (!found.length) return;
  entries.push(...found);
  chosen = false;
  const batch = { total: found.length, done: 0, start: performance.now() };
  refresh();
  for (const one of found) waiting = waiting.then(() => work(one, batch));
}

async function work(one, batch) {
  if (!entries.includes(one)) return;
  const start = performance.now();
  try {
    const film = await one.open();
    const reading = await readFilm(engine, film);
    Object.assign(one, { reading, took: performance.now() - start, thumb: thumbnail(film) });
  } catch (error) {
    one.error = error instanceof FilmError ? error.message : say("refusal", { found: say("found_unknown"), advice: say("advice_damaged") });
  }
  one.done = true;
  sortEntries(entries, engine.card);
  if (shown.includes(one)) await show(one, shown.indexOf(one));
  else if (!shown[0] || (batch.done === 0 && one.reading && !chosen)) await show(one, 0);
  batch.done += 1;
  progress(batch);
  if (batch.done === batch.total && !chosen && shown[0] !== entries[0]) await show(entries[0], 0);
  refresh();
}

function progress({ total, done, start }) {
  const elapsed = (performance.now() - start) / 1000, left = Math.ceil((elapsed / done) * (total - done));
  if (done === total) by("progress").textContent = total > 1 ? say("worklist_done", { total }) : "";
  else if (elapsed > 2) by("progress").textContent = say("worklist_progress", { done, total, left });
}

/** Put an entry into a pane. */
async function show(one, pane) {
  const turn = ++turns[pane];
  const film = one?.reading ? await one.open() : null;
  if (turn !== turns[pane]) return;
  shown[pane] = one;
  if (pane === 0 && film) by("panes").style.setProperty("--shape", film.width / film.height);
  if (pane === 0) Object.assign(view, { zoom: 1, x: 0, y: 0, center: 0.5, width: 1 });
  viewers[pane].show(film, one?.looked ?? one?.reading, settings(engine.card.preprocess).resizeMode, one?.reading?.withheld ? async () => null : lungsOf);
  refresh();
}

/** Show the map of that label of the film in focus. */
function look(index) {
  const one = shown[focus];
  one.looked = { ...one.reading, ...one.reading.about(index) };
  viewers[focus].remark(one.looked);
  refresh();
  document.querySelector("#scale [aria-pressed=true]")?.focus();
}

function choose(one) {
  chosen = true;
  return show(one, focus);
}

async function remove(one) {
  entries = entries.filter((other) => other !== one);
  if (shown[1] === one) await show(null, 1);
  if (shown[0] === one) await show(entries.find(({ reading }) => reading) ?? null, 0);
  refresh();
}

async function clear() {
  entries = [];
  await Promise.all([show(null, 0), show(null, 1)]);
  by("progress").textContent = "";
}

function changed() {
  for (const name of ["center", "width", "opacity"]) by(name).value = Math.round(100 * view[name]);
  by("show-map").checked = view.map;
  by("bare").setAttribute("aria-pressed", String(view.bare));
  requestAnimationFrame(() => viewers.forEach((viewer) => viewer.draw()));
}

function refresh() {
  const any = entries.length > 0;
  by("empty").hidden = by("list-empty").hidden = any;
  by("clear").hidden = !any;
  by("panes").hidden = !shown.some((one) => one?.reading);
  by("toolbar").hidden = !shown.some((one) => one?.reading);
  by("legend").hidden = !shown.some((one) => one?.reading && !one.reading.withheld);
  by("to-list").hidden = entries.length < 2;
  by("to-list").textContent = say("worklist_place", { number: entries.indexOf(shown[focus]) + 1, total: entries.length });
  document.body.classList.toggle("busy", any);
  if (engine) drawList(by("list"), entries, shown[focus], engine.card, { choose, remove });
  panes.forEach((pane, i) => {
    showCaption(pane, shown[i], engine?.card ?? {});
    pane.classList.toggle("focused", i === focus && !panes[1].hidden);
  });
  showPanel(engine?.card, shown[focus], look);
  changed();
}

/** The panel is about the film in this pane from now on. */
function focusOn(pane) {
  if (focus === pane || panes[1].hidden) return;
  focus = pane;
  refresh();
}

function compare() {
  const on = by("compare").getAttribute("aria-pressed") !== "true";
  by("compare").setAttribute("aria-pressed", String(on));
  panes[1].hidden = !on;
  focus = Number(on);
  show((on && entries.find((one) => one !== shown[0] && one.reading)) || null, 1);
}

function step(by) {
  const readable = entries.filter(({ reading }) => reading), at = readable.indexOf(shown[focus]) + by;
  const next = readable[Math.min(Math.max(at, 0), readable.length - 1)];
  if (next) choose(next);
}

function drag(way) {
  for (const name of ["pan", "window"]) by(`drag-${name}`).setAttribute("aria-pressed", String(name === way));
  viewers.forEach((viewer) => Object.assign(viewer, { drag: way }));
}

const bare = (on) => viewers[0].bare(on);
const reset = () => changed(Object.assign(view, { ...VIEW, opacity: view.opacity, map: view.map }));
/** The reading in focus as a sheet of paper, when its lungs have been looked for. */
async function paper() {
  await viewers[focus].shown.found;
  const { reading, looked = reading } = shown[focus];
  return sheet(engine.card, engine.digest, looked, viewers[focus].shown, view);
}

async function save() {
  if (shown[focus]?.reading) download(await paper(), say("saved_file", { number: ++saved }));
}

async function print() {
  if (!shown[focus]?.reading) return;
  by("sheet").replaceChildren(await paper());
  globalThis.print();
}

const files = (list) => add([...list].map((file) => entry(file.name, async () => decode(new Uint8Array(await file.arrayBuffer())))));

/** Buttons for two of the golden films: the first, and the first that is answered otherwise. */
function offerSamples() {
  const { golden, card } = engine, above = ({ probabilities: [share] }) => share >= card.operating_point.threshold;
  const offered = HAS_LUNGS ? [golden[0], golden.find((film) => above(film) !== above(golden[0]))].filter(Boolean) : []; // they are drawn chests
  by("samples").hidden = !offered.length;
  by("sample-films").replaceChildren(...offered.map(({ film }, i) => {
    const name = say("sample_name", { number: i + 1 }), open = async () => decode(await checked(card, film));
    const picture = Object.assign(make("img"), { src: `bundle/${film}`, alt: "", width: 64, height: 64 });
    return Object.assign(make("button", "sample", "", picture, make("span", "", name)), { type: "button", onclick: () => add([entry(name, open)]) });
  }));
}

const camera = () => openCamera(engine, (film) => add([entry(say("photo_name", { number: ++photographs }), async () => film)]));

function about() {
  by("facts").replaceChildren(...facts(engine));
  by("about-page").showModal();
}

function wire() {
  const pick = () => by("files").click();
  const clicks = {
    open: pick, "empty-choose": pick, camera, "empty-camera": camera, about, compare, save, print, reset, clear,
    "zoom-in": () => viewers[0].zoomBy(1.25), "zoom-out": () => viewers[0].zoomBy(0.8),
    "drag-pan": () => drag("pan"), "drag-window": () => drag("window"),
  };
  for (const [id, act] of Object.entries(clicks)) by(id).addEventListener("click", act);
  by("files").addEventListener("change", ({ target }) => { files(target.files); target.value = ""; });
  for (const name of ["opacity", "center", "width"]) {
    by(name).addEventListener("input", ({ target }) => changed((view[name] = target.value / 100)));
  }
  by("show-map").addEventListener("change", ({ target }) => changed((view.map = target.checked)));
  for (const [kind, on] of [["pointerdown", true], ["pointerup", false], ["pointerleave", false], ["blur", false]]) {
    by("bare").addEventListener(kind, () => bare(on));
  }
  by("bare").addEventListener("keydown", ({ key }) => [" ", "Enter"].includes(key) && bare(true));
  by("bare").addEventListener("keyup", () => bare(false));
  for (const button of document.querySelectorAll("[data-close]")) button.addEventListener("click", () => button.closest("dialog").close());
  panes.forEach((pane, i) => ["pointerdown", "focusin"].forEach((kind) => pane.addEventListener(kind, () => focusOn(i))));
  onKeys({ viewers, view, changed, step, reset, compare, drag, bare });
  onDrop(() => engine !== null, files);
}

async function main() {
  sayAll(document);
  document.body.style.setProperty("--evidence", KEY.evidence);
  by("languages").replaceChildren(...Object.entries(languages).filter(([code]) => code !== say("language")).map(([code, name]) => {
    return Object.assign(make("a", "", name), { href: `?lang=${code}`, lang: code, hreflang: code });
  }));
  for (const id of ["camera", "empty-camera", "legend-lungs"]) by(id).hidden = !HAS_LUNGS;
  if (matchMedia("(pointer: coarse)").matches) by("empty-title").textContent = say("empty_title_touch");
  const status = (text) => { by("state").textContent = text; };
  const enable = (on) => ["open", "camera", "about", "empty-choose", "empty-camera"].forEach((id) => { by(id).disabled = !on; });
  enable(false);
  status(say("starting"));
  try {
    engine = await start(status);
  } catch (error) {
    document.body.classList.add("failed");
    return status(say("start_failed", { reason: error.message }));
  }
  enable(true);
  offerSamples();
  showBefore(engine.card);
  status(engine.golden.length ? say("ready", { films: engine.golden.length }) : say("ready_unchecked"));
  wire();
  document.body.classList.add("ready");
  await keepOffline((text) => { status(text); document.body.dataset.kept = text; }, by("reload"));
  return engine.faster();
}

main();
