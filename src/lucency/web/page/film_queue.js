// Films are decoded in a worker, one at a time. One that takes too long, or brings its worker down, is refused: the worker
// is ended, the page and its worklist stay.

import { FilmError, refusal } from "./errors.js";
import { say } from "./i18n.js";
import { KIND, MODALITIES } from "./modality.js";

const SECONDS = 20;
/** A detector's 15 megapixels as a PNG of 16 bits take a slow phone a few. */
let worker = null, last = Promise.resolve();

/** @param {Uint8Array} bytes a whole file, which is given away @returns {Promise<Film>} of `openFilm` @throws {FilmError} */
export function decode(bytes) {
  return ask(bytes, [bytes.buffer]);
}

/** @param {Film} film @returns {Promise<{grid, side}|null>} of `findLungs`; null where they cannot be looked for */
export async function lungsOf({ pixels, width, height }) {
  return MODALITIES[KIND].lungs ? ask({ pixels, width, height }, []).catch(() => null) : null;
}

function ask(given, moved) {
  const turn = last.then(() => askNow(given, moved));
  last = turn.catch(() => {});
  return turn;
}

function askNow(given, moved) {
  worker ??= new Worker(`decoder.js?lang=${say("language")}`, { type: "module" });
  return new Promise((resolve, reject) => {
    const lost = () => {
      worker.terminate();
      worker = null;
      reject(refusal("found_endless", "advice_simple", { seconds: SECONDS }));
    };
    const timer = setTimeout(lost, 1000 * SECONDS);
    worker.onerror = () => { clearTimeout(timer); lost(); };
    worker.onmessage = ({ data: { answer, refused } }) => {
      clearTimeout(timer);
      if (answer) resolve(answer);
      else reject(new FilmError(refused));
    };
    worker.postMessage(given, moved);
  });
}
