// From decoded pixels to the network's square, and from its answers to a verdict: docs/preprocessing.md, step by step.
// One module, no dependency, for browsers, workers and Node: the JavaScript port, and what the page of `lucency web`
// reads with. tests/ports/ holds it to the golden vectors, to the byte.

/** @typedef {{pixels: Uint8Array, colour: Uint8Array|null|undefined, width: number, height: number}} Film  rows from the top,
 *  bright = dense; colour: red, green and blue of each pixel, where the file has three channels */
/** @typedef {{version: number, image_size: number, resize_mode: string, channels: number|undefined, filter: string}} Preprocess
 *  as card.json states it */

const VERSIONS = { 1: 1, 3: 2 };
/** Channels → version of the preprocessing. */

/** The two settings of a card's preprocessing; older cards call them side and fit. @param {Preprocess} how */
export function settings(how) {
  return { imageSize: how.image_size ?? how.side, resizeMode: how.resize_mode ?? how.fit };
}

/** RGBA bytes, as a canvas gives them, or RGB bytes to gray. @returns {Uint8Array} */
export function gray(colour, step = 4) {
  const out = new Uint8Array(colour.length / step);
  for (let i = 0, at = 0; i < out.length; i++, at += step) {
    out[i] = (19595 * colour[at] + 38470 * colour[at + 1] + 7471 * colour[at + 2] + 32768) >> 16;
  }
  return out;
}

/** 16 bits to the nearest of 256 levels. @param {Uint16Array} wide @returns {Uint8Array} */
export function gray8(wide) {
  return Uint8Array.from(wide, (v) => Math.floor((v * 255 + 32767) / 65535));
}

/** Film to the bytes that the network takes. @param {Film} film @param {Preprocess} how @returns {Uint8Array} */
export function prepare(film, how) {
  const { imageSize, resizeMode } = settings(how), channels = how.channels ?? 1;
  if (how.version !== VERSIONS[channels] || how.filter !== "bilinear-antialiased") {
    throw new Error(`expected preprocessing 1 or 2, bilinear-antialiased; came ${how.version}, ${how.filter}`);
  }
  const square = (pixels) => resized(fitted({ ...film, pixels }, resizeMode), imageSize).pixels;
  if (channels === 1) return square(film.pixels);
  return film.colour ? interleaved(planes(film.colour).map(square)) : interleaved(Array(3).fill(square(film.pixels)));
}

/** Red, green and blue as three gray pictures. */
export function planes(colour) {
  return [0, 1, 2].map((channel) => Uint8Array.from({ length: colour.length / 3 }, (_, i) => colour[3 * i + channel]));
}

const interleaved = (planes) => Uint8Array.from({ length: 3 * planes[0].length }, (_, i) => planes[i % 3][(i - (i % 3)) / 3]);

/** Where the network's square lies on the film; beyond it where it was padded. */
export function window(width, height, resizeMode) {
  if (resizeMode === "stretch") return { left: 0, top: 0, width, height };
  if (resizeMode !== "crop" && resizeMode !== "pad") {
    throw new Error(`expected resize_mode stretch, crop or pad, received ${resizeMode}`);
  }
  const side = resizeMode === "crop" ? Math.min(width, height) : Math.max(width, height);
  return { left: Math.trunc((width - side) / 2), top: Math.trunc((height - side) / 2), width: side, height: side };
}

/** The part of a film, or the black square around it, that is then resized. @returns {Film} */
export function fitted(film, resizeMode) {
  const seen = window(film.width, film.height, resizeMode);
  if (seen.width === film.width && seen.height === film.height) return film;
  const pixels = new Uint8Array(seen.width * seen.height);
  const left = Math.max(seen.left, 0), right = Math.min(seen.left + seen.width, film.width);
  for (let y = Math.max(seen.top, 0); y < Math.min(seen.top + seen.height, film.height); y++) {
    const row = film.pixels.subarray(y * film.width + left, y * film.width + right);
    pixels.set(row, (y - seen.top) * seen.width + left - seen.left);
  }
  return { pixels, width: seen.width, height: seen.height };
}

/** How Pillow's BILINEAR and BOX weigh a pixel at a distance from the centre, and how far they reach. */
const TRIANGLE = { reach: 1.0, weight: (away) => Math.max(1.0 - Math.abs(away), 0.0) };
export const BOX = { reach: 0.5, weight: (away) => Number(away > -0.5 && away <= 0.5) };

/** Antialiased bilinear, along the rows first, then along the columns. @returns {Film} */
export function resized(film, side, filter = TRIANGLE) {
  return pass(pass(film, side, filter), side, filter);
}

/** Every row to `side` pixels; rows become columns, so that a second pass does the other direction and turns back. */
function pass(film, side, filter) {
  const { pixels, width, height } = film;
  const out = new Uint8Array(side * height);
  taps(width, side, filter).forEach(({ first, weights }, x) => {
    for (let y = 0; y < height; y++) {
      let sum = 2097152;
      for (let i = 0, at = y * width + first; i < weights.length; i++) sum += weights[i] * pixels[at + i];
      out[x * height + y] = Math.min(Math.max(sum >> 22, 0), 255);
    }
  });
  return { pixels: out, width: height, height: side };
}

/** For each output pixel its first input pixel and the weights from there on, in 22 fractional bits. */
function taps(given, side, filter) {
  const scale = given / side, stretch = Math.max(scale, 1.0);
  const reach = filter.reach * stretch;
  return Array.from({ length: side }, (_, out) => {
    const center = (out + 0.5) * scale;
    const first = Math.max(Math.trunc(center - reach + 0.5), 0);
    const last = Math.min(Math.trunc(center + reach + 0.5), given);
    const raw = [];
    for (let x = first; x < last; x++) raw.push(filter.weight((x - center + 0.5) * (1.0 / stretch)));
    const total = raw.reduce((sum, weight) => sum + weight, 0.0);
    return { first, weights: Int32Array.from(raw, (weight) => Math.trunc(0.5 + (weight / total) * 4194304.0)) };
  });
}

/** Evidence in logits to red, green, blue and cover, 0 … 255: blue against, yellow for, nothing at zero. */
export function colour(logit, limit = 10) {
  const share = Math.round(127 * Math.min(Math.max(logit / limit, -1), 1)) / 127;
  const end = share < 0 ? [8, 40, 110] : [255, 222, 70];
  const mixed = end.map((value) => Math.round(134 + (value - 134) * Math.abs(share)));
  return [...mixed, Math.round(255 * 0.72 * Math.abs(share))];
}

/** One finding's map out of all of them. @returns {Float32Array} rows × columns */
export function finding({ map, rows, columns }, index) {
  const findings = map.length / (rows * columns);
  return Float32Array.from({ length: rows * columns }, (_, cell) => map[cell * findings + index]);
}

/** Whether every pixel is the same. */
export function blank(film) {
  return film.pixels.every((value) => value === film.pixels[0]);
}

/** Whether this can be a whole chest at all; where not, the verdict is `uncertain` whatever the network says. */
export function usual(film) {
  const shape = film.width / film.height;
  return shape >= 0.5 && shape <= 2 && !blank(film);
}

/** What each call costs on average, in the order of the labels, where the card has costs of errors (docs/bundle.md). */
const expectedCosts = ({ costs, labels }, probabilities) =>
  labels.map((_, j) => probabilities.reduce((sum, share, i) => sum + share * costs.called[i][j], 0));

/** Whether to refer this film costs less than any call. */
export function refers(card, probabilities) {
  if (!card.costs?.refer?.length) return false;
  const referring = probabilities.reduce((sum, share, i) => sum + share * card.costs.refer[i], 0);
  return referring < Math.min(...expectedCosts(card, probabilities));
}

/** The threshold of each finding; a single one in the card is that of all. */
export const thresholds = ({ labels, operating_point: { threshold } }) => labels.map((_, i) => Math.fround(threshold[i] ?? threshold));

/** The numbers of the labels, most probable first; of several findings those called come before the others. */
export function ranked(card, probabilities) {
  const at = thresholds(card), isCalled = (i) => card.task === "multilabel" && probabilities[i] >= at[i];
  return [...probabilities.keys()].sort((a, b) => isCalled(b) - isCalled(a) || probabilities[b] - probabilities[a] || a - b);
}

/** The number of the label that a reading speaks of: of least expected cost where the card has costs, else the first ranked. */
export function chosen(card, probabilities) {
  const costs = card.costs && expectedCosts(card, probabilities);
  return costs ? costs.indexOf(Math.min(...costs)) : ranked(card, probabilities)[0];
}

/** The label at the card's threshold, sure or not; for a multilabel task every label called, joined by |. */
export function called(card, probabilities) {
  const at = thresholds(card);
  if (card.task === "multilabel") return card.labels.filter((_, i) => probabilities[i] >= at[i]).join("|");
  if (card.task === "binary") return card.labels[Number(probabilities[0] >= at[0])];
  return card.labels[chosen(card, probabilities)];
}

/** The labels that the card's abstention does not rule out, for a task with one label a film. */
export function held(card, probabilities) {
  const binary = card.task === "binary";
  const chances = binary ? [Math.fround(1 - probabilities[0]), probabilities[0]] : Array.from(probabilities);
  return card.labels.filter((_, i) => chances[i] >= Math.fround(card.abstention.least[i]));
}

/** The sum of `upside_down` and `features` below which a film is plainly upright; times the limit of `layout` that are too far. */
const UPRIGHT = -2, FAR = 2;

/** Names of the gate's checks that a film fails; `unlike` in place of `layout` for one that may be a chest: docs/bundle.md. */
export function failed(card, doubts = []) {
  const { checks } = card.gate, limits = checks.map(({ limit }) => Math.fround(limit)), names = checks.map(({ name }) => name);
  const [layout, turned, features] = ["layout", "upside_down", "features"].map((name) => names.indexOf(name));
  const found = names.filter((_, i) => doubts[i] > limits[i]);
  const chest = doubts[turned] + doubts[features] < UPRIGHT && doubts[layout] <= FAR * limits[layout];
  return found.map((name) => (name === "layout" && chest ? "unlike" : name));
}

/** What the card makes of calibrated probabilities and of the gate's doubts: the label called, or `uncertain`. */
export function verdict(card, probabilities, doubts = []) {
  if (failed(card, doubts).length || refers(card, probabilities)) return "uncertain";
  const label = called(card, probabilities);
  if (card.abstention.method === "none") return label;
  const sure = held(card, probabilities);
  return sure.length === 1 && sure[0] === label ? label : "uncertain";
}

const softplus = (z) => Math.max(z, 0) + Math.log1p(Math.exp(-Math.abs(z)));

/** One calibrated logit each: (logit, list by name) → number, as docs/bundle.md has them. */
const CALIBRATED = {
  none: (z) => z,
  temperature: (z, list) => z / list("temperature"),
  platt: (z, list) => list("slope") * z + list("offset"),
  beta: (z, list) => list("b") * softplus(z) - list("a") * softplus(-z) + list("c"),
};

/** Probabilities by the card's calibration, for a bundle that was calibrated again after its export. */
export function calibrated(card, logits) {
  const { method, parameters } = card.calibration;
  if (method === "isotonic") return Float32Array.from(logits, (z) => polyline(z, parameters));
  const named = (i) => (name) => parameters[name][parameters[name].length > 1 ? i : 0];
  const scores = method === "dirichlet" ? dirichlet(logits, parameters) : Array.from(logits, (z, i) => CALIBRATED[method](z, named(i)));
  if (card.task !== "multiclass") return Float32Array.from(scores, (score) => Math.exp(-softplus(-score)));
  const spread = logSum(scores);
  return Float32Array.from(scores, (score) => Math.exp(score - spread));
}

/** ln of the sum of the exponentials, without overflow. */
function logSum(scores) {
  const largest = Math.max(...scores);
  return largest + Math.log(scores.reduce((sum, score) => sum + Math.exp(score - largest), 0));
}

/** The calibrated logits of several classes: a matrix, row by row, on the log of the softmax. */
function dirichlet(logits, { matrix, offset }) {
  const spread = logSum(Array.from(logits));
  return offset.map((start, i) => logits.reduce((sum, z, j) => sum + matrix[i * offset.length + j] * (z - spread), start));
}

function polyline(z, { logits, probabilities }) {
  const above = logits.findIndex((x) => x > z);
  if (above <= 0) return probabilities[above === 0 ? 0 : logits.length - 1];
  const share = (z - logits[above - 1]) / (logits[above] - logits[above - 1]);
  return probabilities[above - 1] + share * (probabilities[above] - probabilities[above - 1]);
}

/**
 * The network's answers for one prepared film, by LiteRT.js (@litertjs/core).
 *
 * @param {object} model what `loadAndCompile(url, {accelerator})` gave
 * @param {Function} Tensor the class of that name in @litertjs/core
 * @param {object} card the bundle's card.json
 * @param {Uint8Array} square what `prepare` gave
 * @returns {Promise<{probabilities: Float32Array, logits: Float32Array, map: Float32Array, doubts: Float32Array,
 *   rows: number, columns: number}>} probabilities by the card's calibration; map: rows × columns × findings, in logits
 */
export async function ask(model, Tensor, card, square) {
  const { imageSize } = settings(card.preprocess);
  const input = new Tensor(Float32Array.from(square), [1, imageSize, imageSize, card.preprocess.channels ?? 1]);
  const outputs = await model.run({ film: input });
  const copied = {};
  for (const [name, tensor] of Object.entries(outputs)) copied[name] = (await tensor.data()).slice();
  [input, ...Object.values(outputs)].forEach((tensor) => tensor.delete());
  const { logit: logits, map, doubt: doubts = new Float32Array(0) } = copied;
  // Compared with a limit or a threshold, NaN would pass for "no doubt".
  if (![logits, map, doubts].every((part) => part.every(Number.isFinite))) throw new Error("expected numbers, got NaN");
  const [, rows, columns] = model.getOutputDetails().find(({ name }) => name === "map").shape;
  return { probabilities: calibrated(card, logits), logits, map, doubts, rows, columns };
}

/** One film through the bundle's network: `ask` with the verdict. @param {Film} film */
export async function read(model, Tensor, card, film) {
  const answers = await ask(model, Tensor, card, prepare(film, card.preprocess));
  return { verdict: usual(film) ? verdict(card, answers.probabilities, answers.doubts) : "uncertain", ...answers };
}
