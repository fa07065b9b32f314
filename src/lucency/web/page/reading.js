// From the network's answers to what a person is told, as lucency.reader.outputs and lucency.reader.input_checks have it.

import { blank, called, failed, finding, held, settings, verdict } from "./lucency.js";
import { named, say } from "./say.js";

const CHESTS = ["CHEST", "THORAX", "LUNG", "RIBCAGE"];
const FRONTAL = ["AP", "PA"];
const NARROW = 0.5, WIDE = 2;

/** Reasons to doubt a reading that show before the network is asked. @returns {{words: string, refuses: boolean}[]} */
export function noticed(film, card) {
  const { width, height } = film, { side } = settings(card.preprocess);
  const found = [], tell = (refuses, name, values) => found.push({ words: say(name, values), refuses });
  const shape = width / height;
  if (Math.min(width, height) < side) tell(false, "doubt_small", { width, height, side });
  if (shape < NARROW || shape > WIDE) tell(true, "doubt_shape", { width, height });
  if (blank(film)) tell(true, "doubt_blank");
  const view = (film.facts.view ?? "").toUpperCase(), part = (film.facts.body_part ?? "").toUpperCase();
  if (view && !FRONTAL.includes(view)) tell(true, "doubt_view", { view });
  if (part && !CHESTS.includes(part)) tell(true, "doubt_part", { part });
  return found;
}

/**
 * @param {object} card the bundle's
 * @param {object} answers of `ask`
 * @param {{words: string, refuses: boolean}[]} doubts of `noticed`
 * @returns {{verdict, called, finding, index, probability, probabilities, logits, map, rows, columns, warnings}}
 *   probability, map (rows × columns) and index are those of `finding`
 */
export function judged(card, answers, doubts) {
  const { probabilities, rows, columns } = answers;
  const index = probabilities.indexOf(Math.max(...probabilities));
  const reasons = failed(card, answers.doubts);
  const sure = verdict(card, probabilities, answers.doubts);
  const warnings = [...doubts.map(({ words }) => words), ...reasons.map((name) => say(`doubt_${name}`))];
  if (sure === "uncertain" && !reasons.length) warnings.push(undecided(card, probabilities));
  return {
    verdict: doubts.some(({ refuses }) => refuses) ? "uncertain" : sure,
    called: called(card, probabilities),
    finding: card.task === "binary" ? card.labels[1] : card.labels[index],
    index,
    probability: probabilities[index],
    probabilities,
    logits: answers.logits,
    map: finding(answers, index),
    rows,
    columns,
    warnings,
  };
}

/** Why the prediction set does not hold the called label alone. */
function undecided(card, probabilities) {
  const names = held(card, probabilities).map(named);
  if (names.length) return say("doubt_several", { labels: names.join(say("or")) });
  return say("doubt_neither", { labels: card.labels.map(named).join(say("and")) });
}

/**
 * What each stretch of the scale from 0 to 1 would be called, by the card's threshold and abstention.
 * @returns {{from: number, to: number, verdict: string}[]} empty where more than one probability decides
 */
export function zones(card) {
  if (card.task !== "binary") return [];
  const { least } = card.abstention;
  const cuts = [card.operating_point.threshold, ...(card.abstention.method === "none" ? [] : [1 - least[0], least[1]])];
  const ends = [0, ...cuts.filter((cut) => cut > 0 && cut < 1).sort((a, b) => a - b), 1];
  const open = { ...card, gate: { checks: [] } };
  const said = ends.slice(1).map((to, i) => {
    return { from: ends[i], to, verdict: verdict(open, Float32Array.of((ends[i] + to) / 2)) };
  });
  return said.reduce((kept, zone) => {
    const last = kept.at(-1);
    if (last?.verdict === zone.verdict) last.to = zone.to;
    else kept.push(zone);
    return kept;
  }, []);
}

/** Most urgent first: what is called a finding, then what is uncertain, then the rest, then what cannot be read. */
export function urgency(card, reading) {
  if (!reading) return -1;
  const { verdict: said, probability } = reading;
  if (said === "uncertain") return 1 + probability;
  const found = card.task === "multilabel" ? said !== "" : said !== card.labels[0];
  return found ? 2 + probability : probability;
}
