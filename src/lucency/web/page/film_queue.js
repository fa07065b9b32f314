// Films are decoded in a worker, one at a time. One that takes too long, or brings its worker down, is refused: the worker
// is ended, the page and its worklist stay.

import { FilmError, refusal } from "./errors.js";

const SECONDS = 20;
/** A detector's 15 megapixels as a PNG of 16 bits take a slow phone a few. */
let worker = null, last = Promise.resolve();

/** @param {Uint8Array} bytes a whole file, which is given away @returns {Promise<Film>} of `openFilm` @throws {FilmError} */
export function decode(bytes) {
  const turn = last.then(() => decodeNow(bytes));
  last = turn.catch(() => {});
  return turn;
}

function decodeNow(bytes) {
  worker ??= new Worker("decoder.js", { type: "module" });
  return new Promise((resolve, reject) => {
    const lost = () => {
      worker.terminate();
      worker = null;
      reject(refusal("found_endless", "advice_simple", { seconds: SECONDS }));
    };
    const timer = setTimeout(lost, 1000 * SECONDS);
    worker.onerror = () => { clearTimeout(timer); lost(); };
    worker.onmessage = ({ data: { film, refused } }) => {
      clearTimeout(timer);
      if (film) resolve(film);
      else reject(new FilmError(refused));
    };
    worker.postMessage(bytes, [bytes.buffer]);
  });
}
