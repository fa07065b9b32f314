// The bundle's network on this device: LiteRT.js on WebAssembly, or on WebGPU where that is right and faster.
// No film is read before the bundle's golden answers have been met here.

import { say } from "./i18n.js";
import { canvasIsFaithful } from "./jpeg.js";
import { loadAndCompile, loadLiteRt, Tensor } from "./litert/core.js";
import { ask, prepare, settings } from "./lucency.js";
import { readPng } from "./png.js";

const BUNDLE = "bundle/";
const ROUNDS = 7;
const CHATTER = /^(INFO|WARNING|VERBOSE):/;
/** How LiteRT begins what it logs to stderr without need. */
const GOLDEN = "golden/golden.json";

/**
 * Open the bundle beside the page.
 * @param {(text: string) => void} status shows progress
 * @returns {Promise<Engine>} @throws {Error} one line: why this device cannot read films
 */
export async function start(status) {
  if (!canvasIsFaithful()) throw new Error(say("why_canvas"));
  status(say("starting_network"));
  const text = await fetched("card.json");
  const card = JSON.parse(new TextDecoder().decode(text));
  if (card.schema_version !== 1) throw new Error(say("why_schema", { version: card.schema_version }));
  globalThis.Module = { printErr: (line) => CHATTER.test(line) || console.error(line) };
  const runtime = loadLiteRt("./litert/");
  const file = await checked(card, card.model.file);
  status(say("starting_runtime"));
  const litert = await runtime;
  const model = await loadAndCompile(file, { accelerator: "wasm" });
  status(say("starting_check"));
  const golden = await goldenSquares(card);
  await meet(golden, (square) => ask(model, Tensor, card, square));
  const square = golden.films[0]?.square ?? new Uint8Array(settings(card.preprocess).imageSize ** 2 * (card.preprocess.channels ?? 1));
  const engine = new Engine(card, model, "WebAssembly", await fastest(card, model, square));
  engine.digest = await sha256(text);
  engine.golden = golden.films;
  engine.faster = () => tryWebGpu(engine, litert, file, golden, square);
  return engine;
}

/** A compiled network; films are read one after another. */
class Engine {
  constructor(card, model, name, milliseconds) {
    Object.assign(this, { card, model, name, milliseconds, last: Promise.resolve() });
  }

  /** Outputs for a film, as `ask` gives them. */
  read(film) {
    return this.run(prepare(film, this.card.preprocess));
  }

  /** Outputs for a square of bytes. */
  run(square) {
    const turn = this.last.then(() => ask(this.model, Tensor, this.card, square));
    this.last = turn.catch(() => {});
    return turn;
  }
}

/** Change to WebGPU if there is one, it meets the golden answers, and it is faster here. @returns {Promise<boolean>} */
async function tryWebGpu(engine, litert, file, golden, square) {
  if (!litert.getWebGpuDevice() || !golden.films.length) return false;
  let model;
  try {
    model = await loadAndCompile(file, { accelerator: "webgpu" });
    await meet(golden, (given) => ask(model, Tensor, engine.card, given));
    const milliseconds = await fastest(engine.card, model, square);
    if (milliseconds < engine.milliseconds) {
      Object.assign(engine, { model, milliseconds, name: "WebGPU" });
      return true;
    }
  } catch {
    // Operators it lacks, or half precision that strays too far: WebAssembly goes on.
  }
  model?.delete();
  return false;
}

/** Milliseconds of the fastest of a few readings: what the device can do when nothing else is in the way. */
async function fastest(card, model, square) {
  const times = [];
  for (let round = 0; round < ROUNDS; round++) {
    const begin = performance.now();
    await ask(model, Tensor, card, square);
    times.push(performance.now() - begin);
  }
  return Math.min(...times);
}

/** The golden films as squares, each met in every byte; no films where the bundle has none. */
async function goldenSquares(card) {
  if (!(GOLDEN in card.files)) return { films: [], tolerance: {} };
  const golden = JSON.parse(new TextDecoder().decode(await checked(card, GOLDEN)));
  const films = await Promise.all(golden.films.map(async (film) => {
    const [given, expected] = await Promise.all([film.film, film.square].map(async (name) => readPng(await checked(card, name))));
    const square = prepare(given, card.preprocess), stated = expected.colour ?? expected.pixels;
    const same = square.length === stated.length && square.every((value, i) => value === stated[i]);
    if (!same) throw new Error(say("why_square", { film: film.film }));
    return { ...film, square };
  }));
  return { films, tolerance: golden.tolerance };
}

/** Throw unless every golden answer is met within its tolerance. */
async function meet({ films, tolerance }, read) {
  for (const film of films) {
    const { logits, probabilities, map, doubts } = await read(film.square);
    const rows = film.maps.map((rows) => rows.flat());
    const maps = rows[0].flatMap((_, cell) => rows.map((finding) => finding[cell]));
    const pairs = { logit: [logits, film.logits], probability: [probabilities, film.probabilities] };
    for (const [name, [here, there]] of Object.entries({ ...pairs, map: [map, maps], doubt: [doubts, film.doubts] })) {
      const away = here.length === there.length ? Math.max(0, ...there.map((value, i) => Math.abs(value - here[i]))) : NaN;
      if (!(away <= tolerance[name])) {
        throw new Error(say("why_answers", { name, film: film.film, away, tolerance: tolerance[name] }));
      }
    }
  }
}

/** A file of the bundle whose hash is the card's. */
export async function checked(card, name) {
  const content = await fetched(name);
  const found = await sha256(content);
  if (found && found !== card.files[name]) throw new Error(say("why_hash", { file: name }));
  return content;
}

/** Hexadecimal; empty without a secure context, where browsers offer no hash to check by. */
async function sha256(content) {
  if (!globalThis.crypto?.subtle) return "";
  const hash = new Uint8Array(await crypto.subtle.digest("SHA-256", content));
  return Array.from(hash, (value) => value.toString(16).padStart(2, "0")).join("");
}

async function fetched(name) {
  const response = await fetch(BUNDLE + name);
  if (!response.ok) throw new Error(say("why_fetch", { file: name, status: response.status }));
  return new Uint8Array(await response.arrayBuffer());
}
