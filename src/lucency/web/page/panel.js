// What a reading says, in words and on the scale.

import { settings } from "./lucency.js";
import { zones } from "./reading.js";
import { named, say } from "./say.js";

const percent = (share) => Math.round(100 * share);

/** Percent with a decimal near the ends, and never 0 or 100, which no network can know. */
export function percentWords(share) {
  const value = 100 * share;
  if (value < 0.1) return "<0.1";
  if (value > 99.9) return ">99.9";
  return value < 1 || value > 99 ? value.toFixed(1) : String(Math.round(value));
}

/** The verdict as a person reads it. */
export function verdictWords(reading) {
  if (!reading) return say("verdict_unread");
  if (reading.verdict === "uncertain") return say("verdict_uncertain");
  return reading.verdict.split("|").filter(Boolean).map(named).join(", ") || say("verdict_none");
}

/** Verdict and probability on one line that says of what: "normal 8 %" would be taken for 8 % normal. */
export function shortly(reading) {
  const verdict = verdictWords(reading);
  if (!reading) return verdict;
  const finding = named(reading.finding), percent = percentWords(reading.probability);
  return verdict === finding ? `${verdict} ${say("probability_value", { percent })}` : say("worklist_said", { verdict, finding, percent });
}

/** Which of the colours a verdict has: finding, uncertain, or clear. */
export function tone(card, reading) {
  if (!reading) return "unread";
  return toneOf(card, reading.verdict);
}

const toneOf = (card, said) => {
  if (said === "uncertain") return "uncertain";
  return said === "" || (card.task !== "multilabel" && said === card.labels[0]) ? "clear" : "finding";
};

/** `<tag class="…">text</tag>`, with children. */
export function make(tag, name = "", text = "", ...children) {
  const element = document.createElement(tag);
  if (name) element.className = name;
  if (text) element.textContent = text;
  element.append(...children);
  return element;
}

const SHORT = 16, TAIL = 11;
/** Letters of a name that fit everywhere; at the end of a longer one those that are always shown: they tell films apart. */

/** A file's name on one line; where it is too long, its middle is left out. */
export function nameLine(name) {
  const parts = name.length > SHORT ? [name.slice(0, -TAIL), name.slice(-TAIL)] : [name];
  return make("span", "name", "", ...parts.map((part) => make("span", "", part)));
}

const ROOM = 38;
/** Letters that the whole scale has room for. */

/** The scale: zones by what is called there, the threshold, and where this film lies. */
export function scale(card, reading) {
  const value = reading.probability, stretches = zones(card);
  const threshold = card.operating_point.threshold;
  const bands = stretches.map(({ from, to, verdict }) => {
    const band = make("span", `zone ${toneOf(card, verdict)}`);
    band.style.left = `${100 * from}%`;
    band.style.width = `${100 * (to - from)}%`;
    const word = shortWords(verdict);
    if (word.length < ROOM * (to - from)) band.textContent = word;
    return band;
  });
  const needle = make("span", "needle");
  needle.style.left = `${100 * value}%`;
  const mark = make("span", "threshold");
  mark.style.left = `${100 * threshold}%`;
  const told = stretches.map(({ from, to, verdict }) => {
    const word = verdict === "uncertain" ? say("verdict_uncertain") : named(verdict);
    return say("scale_zone", { from: percent(from), to: percent(to), verdict: word });
  });
  const track = make("div", "track", "", ...bands, ...(card.task === "multiclass" ? [] : [mark]), needle);
  track.setAttribute("role", "img");
  const words = { finding: named(reading.finding), percent: percentWords(value), threshold: percent(threshold) };
  track.setAttribute("aria-label", say("scale_words", { ...words, zones: told.join(" ") }));
  return make("div", "scale", "", head(reading), track, ticks(), make("p", "faint caption", scaleWords(card)));
}

const shortWords = (said) => (said === "uncertain" ? say("scale_refer") : named(said));

/** What each stretch of the scale says, and where the threshold is, as a line of text. */
export function scaleWords(card) {
  if (card.task === "multiclass") return "";
  const told = zones(card).map(({ from, to, verdict }) => {
    return say("scale_stretch", { from: percent(from), to: percent(to), verdict: shortWords(verdict) });
  });
  return [...told, say("scale_threshold", { percent: percent(card.operating_point.threshold) })].join(" · ");
}

function head({ finding, probability }) {
  const name = make("span", "", say("probability_of", { finding: named(finding) }));
  return make("p", "head", "", name, make("b", "", say("probability_value", { percent: percentWords(probability) })));
}

function ticks() {
  const row = make("div", "ticks", "", ...[0, 25, 50, 75, 100].map((value) => make("span", "", String(value))));
  row.setAttribute("aria-hidden", "true");
  return row;
}


/** Every label with its probability, where there are more than one. */
export function labels(card, reading) {
  if (card.task === "binary") return [];
  const rows = card.labels.map((label, i) => {
    const meter = Object.assign(document.createElement("meter"), { value: reading.probabilities[i] });
    meter.setAttribute("aria-label", named(label));
    return make("li", "", "", make("span", "", named(label)), meter, make("b", "", percentWords(reading.probabilities[i])));
  });
  return [make("h3", "", say("all_labels")), make("ul", "labels", "", ...rows)];
}

/** The reasons to doubt a reading, a list item each. */
export function reasons(reading) {
  const told = reading.warnings.map((words) => make("li", "doubt", words));
  return told.length ? told : [make("li", "faint", say("reasons_none"))];
}

/** What the card says of the bundle, as terms and their descriptions. */
export function facts({ card, name, milliseconds, digest }) {
  const { model, training, operating_point: point, abstention, gate } = card;
  const rows = [
    ["about_network", say("about_network_value", { backbone: model.backbone, side: settings(card.preprocess).side, quantize: model.quantize === "none" ? "float32" : model.quantize })],
    ["about_engine", say("about_engine_value", { engine: name, ms: milliseconds.toFixed(1) })],
    ["about_learned", say("about_learned_value", training)],
    ["about_threshold", say("about_threshold_value", { percent: percent(point.threshold), rule: point.chosen_by })],
    ["about_abstention", abstention.method === "none" ? say("about_none") : say("about_abstention_value", { method: abstention.method, percent: percent(abstention.coverage) })],
    ["about_gate", gate.checks.map(({ name }) => name.replace("_", " ")).join(", ") || say("about_none")],
    ["about_figures", ...figures(card.metrics)],
    ["about_limits", ...card.limits],
    ["about_licence", card.licence],
    ["about_digest", `${card.name} ${digest.slice(0, 16)}`],
  ];
  return rows.filter((row) => row.length > 1).flatMap(([term, ...told]) => {
    return [make("dt", "", say(term)), ...told.map((text) => make("dd", "", text))];
  });
}

/** The card's figures, under the data that each group of them was measured on. */
function figures(metrics) {
  const measured = [...new Set(metrics.map(({ data }) => data ?? ""))];
  return measured.flatMap((data) => {
    const told = metrics.filter((metric) => (metric.data ?? "") === data).map(figure);
    return data ? [say("about_measured", { data }), ...told] : told;
  });
}

function figure({ name, value, low, high }) {
  const digits = (number) => number.toFixed(4);
  const interval = low == null ? "" : ` ${say("about_interval", { low: digits(low), high: digits(high) })}`;
  return `${name.replaceAll("_", " ")} ${digits(value)}${interval}`;
}
