// A reading in words, on the scale, in the panel beside the film and in the caption under it.

import { FAINT } from "./evidence.js";
import { named, say } from "./i18n.js";
import { settings, thresholds } from "./lucency.js";
import { MODALITIES, KIND } from "./modality.js";
import { isClear, logit, zones } from "./reading.js";

export const LEADING = 3;
/** Labels named at once of several. */
const SHORT = 32, TAIL = 12;
/** Letters of a name that fit on two lines; at the end of a longer one those that are always shown: they tell films apart. */
const ROOM = 42;
/** Letters that the whole scale has room for. */
const CERTAIN = 0.99;
/** Beyond it a probability is said in words: no network knows it better. The scale, in logits, ends there. */
export const TICKS = [0.01, 0.1, 0.5, 0.9, 0.99];

export const by = (id) => document.getElementById(id);

/** `<tag class="…">text</tag>`, with children. */
export function make(tag, name = "", text = "", ...children) {
  const element = document.createElement(tag);
  if (name) element.className = name;
  if (text) element.textContent = text;
  element.append(...children);
  return element;
}

const percent = (share) => Math.round(100 * share);

/** A reading's probability as a person reads it. */
export const readingShare = ({ withheld, probability }) => (withheld ? say("probability_none") : probabilityWords(probability));

function probabilityWords(share) {
  if (share >= CERTAIN) return say("probability_high");
  return share <= 1 - CERTAIN ? say("probability_low") : say("probability_value", { percent: percent(share) });
}

/** Where a probability lies on the scale, 0 … 1: logits, so that the stretches near the ends have room. */
export function placeOf(share) {
  const most = logit(CERTAIN);
  return (Math.min(Math.max(logit(share), -most), most) / most + 1) / 2;
}

/** The verdict as a person reads it. */
export function verdictWords(reading) {
  if (!reading) return say("verdict_unread");
  if (reading.verdict === "uncertain") return isNamed(reading) ? say("verdict_set", { labels: reading.held.map(named).join(say("or")) }) : say("verdict_uncertain");
  return reading.verdict.split("|").filter(Boolean).map(named).join(", ") || say("verdict_none");
}

/** Whether the labels that are not ruled out are few enough to be named; of two labels they are both. */
const isNamed = ({ held, probabilities }) => probabilities.length > 1 && held?.length > 1 && held.length <= LEADING;

/** Verdict and probability on one line that says of what: "normal 8 %" would be taken for 8 % normal. */
export function summary(reading) {
  const verdict = verdictWords(reading);
  if (!reading) return verdict;
  const finding = named(reading.finding), share = readingShare(reading);
  if (reading.withheld) return `${verdict} · ${share}`;
  return verdict === finding ? say("probability_called", { verdict, share }) : say("worklist_said", { verdict, finding, share });
}

/** Which of the colours a verdict has: finding, uncertain, clear; or unread. */
export function tone(card, reading) {
  if (!reading) return "unread";
  if (reading.verdict === "uncertain") return "uncertain";
  return isClear(card, reading.verdict) ? "clear" : "finding";
}

/** A file's name on two lines at most; where it is too long, its middle is left out. */
export function nameLine(name) {
  return make("span", "name", name.length > SHORT ? `${name.slice(0, SHORT - TAIL)}…${name.slice(-TAIL)}` : name);
}

/** The scale: zones by what is called there, the threshold, and where this film lies; of several labels each's probability. */
export function scale(card, reading, look) {
  if (card.task !== "binary" && !reading.withheld) return labels(reading, card, look);
  if (reading.withheld) return make("p", "head", "", make("b", "", readingShare(reading)));
  const { probability } = reading, threshold = card.operating_point.threshold;
  const at = (name, style, text = "") => {
    const part = make("span", name, text);
    for (const [side, place] of Object.entries(style)) part.style[side] = `${100 * place}%`;
    return part;
  };
  const bands = zones(card).map(({ from, to, verdict }) => {
    const word = shortVerdict(verdict), left = placeOf(from), width = placeOf(to) - left;
    return at(`zone ${tone(card, { verdict })}`, { left, width }, word.length < ROOM * width ? word : "");
  });
  const track = make("div", "track", "", ...bands, at("threshold", { left: placeOf(threshold) }), at("needle", { left: placeOf(probability) }));
  track.setAttribute("role", "img");
  const heard = zones(card).map(({ from, to, verdict }) => {
    const word = verdict === "uncertain" ? say("verdict_uncertain") : named(verdict);
    return say("scale_zone", { from: percent(from), to: percent(to), verdict: word });
  });
  const finding = named(reading.finding), share = probabilityWords(probability);
  track.setAttribute("aria-label", say("scale_words", { finding, share, threshold: percent(threshold), zones: heard.join(" ") }));
  const head = make("p", "head", "", make("span", "", say("probability_of", { finding })), make("b", "", share));
  const ticks = make("div", "ticks", "", ...TICKS.map((tick) => at("", { left: placeOf(tick) }, String(percent(tick)))));
  ticks.setAttribute("aria-hidden", "true");
  return make("div", "scale", "", head, track, ticks, make("p", "faint caption", "", ...scaleWords(card).map((words) => make("span", "", words))));
}

const shortVerdict = (verdict) => (verdict === "uncertain" ? say("scale_refer") : named(verdict));

/** What each stretch of the scale says, and where the threshold is. @returns {string[]} */
export function scaleWords(card) {
  if (card.task !== "binary") return [];
  const stretches = zones(card).map(({ from, to, verdict }) => {
    return say("scale_stretch", { from: percent(from), to: percent(to), verdict: shortVerdict(verdict) });
  });
  return [...stretches, say("scale_threshold", { percent: percent(card.operating_point.threshold) })];
}

/** The labels by their probability, the first few and then all: each a button that shows its map. `look` takes its number. */
function labels(reading, card, look) {
  const rows = reading.leading.map((index) => labelRow(card, reading, index, look));
  const rest = rows.splice(shownLabels(reading)), list = (some) => make("ul", "labels", "", ...some);
  const parts = [...(look ? [make("p", "faint", say("labels_hint"))] : []), list(rows)];
  const { called } = reading, likely = card.labels[reading.leading[0]];
  if (card.costs && called !== likely) parts.unshift(make("p", "", say("labels_cost", { finding: named(called), likely: named(likely) })));
  if (rest.length) parts.push(Object.assign(make("details", "", "", make("summary", "", say("labels_rest", { count: rest.length })), list(rest)), { open: rest.some((row) => row.querySelector("[aria-pressed=true]")) }));
  return make("div", "scale", "", ...parts);
}

/** How many labels are shown at once: of several findings at least all that are called. */
export const shownLabels = ({ called }) => Math.max(LEADING, called.split("|").length);

/** A label with its probability; one of several findings with a mark at its threshold, heavier where it is called. */
function labelRow(card, reading, index, look) {
  const label = card.labels[index], share = reading.probabilities[index], bar = make("span", "bar-of", "", make("span"));
  bar.firstChild.style.width = `${100 * share}%`;
  const button = make("button", "label", "", make("span", "", named(label)), bar, make("b", "", labelShare(share)));
  if (card.task === "multilabel") {
    const at = thresholds(card)[index];
    bar.append(Object.assign(make("i"), { title: say("scale_threshold", { percent: percent(at) }) }));
    bar.lastChild.style.left = `${100 * at}%`;
    button.classList.toggle("called", share >= at);
  }
  Object.assign(button, { type: "button", disabled: !look, onclick: look && (() => look(index)) });
  button.setAttribute("aria-pressed", String(Boolean(look) && index === reading.index));
  return make("li", "", "", button);
}

/** One of several probabilities, which add up to 1. */
export function labelShare(share) {
  if (share >= CERTAIN) return say("label_share_large");
  return percent(share) ? say("probability_value", { percent: percent(share) }) : say("label_share_small");
}

/** The line under a film, and what a screen reader says of the film. `one`: the worklist's entry, or null. */
export function showCaption(pane, one, card) {
  const { reading, name } = one ?? {};
  const said = make("span", `said ${tone(card, reading)}`, one?.done ? summary(reading) : "");
  pane.querySelector("figcaption").replaceChildren(nameLine(name ?? say("tool_compare_pick")), said);
  const decided = reading ? say("decided", {
    verdict: verdictWords(reading), share: readingShare(reading), finding: named(reading.finding),
  }) : verdictWords(null);
  pane.querySelector("canvas").setAttribute("aria-label", one ? say("viewer_words", { name, decided }) : say("viewer_empty"));
}

/** The panel, on an entry of the worklist or on none: its reading, or why there is none. `look`: at which label's map. */
export function showPanel(card, one, look) {
  const { reading, error } = one ?? {}, looked = one?.looked ?? reading;
  by("which").textContent = one?.name ?? "";
  by("none").textContent = one ? say("worklist_reading") : say("reading_none");
  by("none").hidden = Boolean(one?.done);
  by("unread").hidden = !error;
  by("why").textContent = error ?? "";
  by("answer").hidden = by("call").hidden = !reading;
  for (const id of ["save", "print"]) by(id).disabled = !reading;
  if (!reading) return;
  const verdict = verdictWords(reading);
  if (by("verdict").textContent !== verdict) by("verdict").textContent = verdict; // said aloud when it changes
  by("verdict").className = tone(card, reading);
  by("scale").replaceChildren(scale(card, looked, look));
  const doubts = reading.warnings.map((words) => make("li", "doubt", words));
  by("reasons").replaceChildren(...(doubts.length ? doubts : [make("li", "faint", say("reasons_none"))]));
  by("took").textContent = say("took", { ms: Math.round(one.took) });
  by("legend-for").textContent = evidenceWords(looked);
}

/** What the map's colour stands for on this film. */
export function evidenceWords({ map, finding }) {
  return say(Math.max(...map) < FAINT ? "legend_faint" : "legend_for", { finding: named(finding) });
}

/** Lungs are found, and films held up to a camera, where the pictures are chest films. */
export const { lungs: HAS_LUNGS } = MODALITIES[KIND];

const learnedWords = (training) => say(training.patients === null ? "about_learned_films" : "about_learned_value", training);

/** Before the first film: on whom it learned, and its limits. */
export function showBefore({ training, limits, population }) {
  by("learned").textContent = [population?.words, learnedWords(training)].filter(Boolean).join(" · ");
  by("limits").replaceChildren(...limits.map((limit) => make("li", "", limit)));
}

/** What the card says of the bundle, as terms and their descriptions. */
export function facts({ card, name, milliseconds, digest }) {
  const { model, training, operating_point: point, abstention, gate } = card, { imageSize } = settings(card.preprocess);
  const quantize = model.quantize === "none" ? "float32" : model.quantize, none = say("about_none");
  const { method, coverage } = abstention;
  const rows = [
    ["about_sensitivity", ...rate(card.metrics, "sensitivity")],
    ["about_specificity", ...rate(card.metrics, "specificity")],
    ["about_population", ...[card.population?.words].filter(Boolean), learnedWords(training)],
    ["about_network", say("about_network_value", { backbone: model.backbone, side: imageSize, quantize })],
    ["about_engine", say("about_engine_value", { engine: name, ms: milliseconds.toFixed(1) })],
    ["about_threshold", ...(card.costs ? [say("about_costs", card.costs)] : []), ...(card.task === "multiclass" ? [] : [say("about_threshold_value", { percent: ownPercents(card), rule: point.chosen_by })])],
    ["about_abstention", method === "none" ? none : say("about_abstention_value", { method, percent: percent(coverage) })],
    ["about_gate", gate.checks.map(({ name }) => name.replace("_", " ")).join(", ") || none],
    ["about_figures", ...figures(card.metrics)],
    ["about_limits", ...card.limits],
    ["about_licence", card.licence],
    ["about_digest", `${card.name} ${digest.slice(0, 16)}`],
  ];
  return rows.filter((row) => row.length > 1).flatMap(([term, ...values]) => {
    return [make("dt", "", say(term)), ...values.map((text) => make("dd", "", text))];
  });
}

/** The threshold in percent, or of several findings those of each by name. */
function ownPercents(card) {
  const each = thresholds(card).map((at, i) => `${named(card.labels[i])} ${percent(at)}`);
  return Array.isArray(card.operating_point.threshold) ? each.join(" %, ") : String(percent(card.operating_point.threshold));
}

/** One of the card's figures, with its interval and the films that it was measured on. */
function rate(metrics, wanted) {
  return metrics.filter(({ name, low }) => name === wanted && low != null).slice(0, 1).map(({ value, low, high, data }) => {
    const [middle, from, to] = [value, low, high].map((share) => (100 * share).toFixed(1));
    return say("about_rate", { percent: middle, low: from, high: to, data: data ?? "" });
  });
}

/** The card's figures, under the data that each group of them was measured on. */
function figures(metrics) {
  const groups = new Map();
  for (const { data, name, value, low, high } of metrics) {
    const [middle, ...ends] = [value, low, high].map((number) => number?.toFixed(4));
    const interval = low == null ? "" : ` ${say("about_interval", { low: ends[0], high: ends[1] })}`;
    groups.set(data ?? "", [...(groups.get(data ?? "") ?? []), `${name.replaceAll("_", " ")} ${middle}${interval}`]);
  }
  return [...groups].flatMap(([data, lines]) => (data ? [say("about_measured", { data }), ...lines] : lines));
}
