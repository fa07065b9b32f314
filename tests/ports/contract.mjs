// Holds the JavaScript port to ports/contract/contract.json: from a film to its bytes, and from outputs to a reading.
// The network itself is run by the page, in tests/web/.
import { FAINT, strongest } from "../../src/lucency/web/page/evidence.js";
import { calibrated, prepare } from "../../src/lucency/web/page/lucency.js";
import { inputDoubts, readingOf } from "../../src/lucency/web/page/reading.js";

const near = (a, b, allowed) => a.length === b.length && a.every((value, i) => Math.abs(value - b[i]) <= allowed);

/** What of the contract is not kept: "film: part" each. */
export function contractFailures(contract, card) {
  return contract.films.flatMap((film) => {
    const pixels = Uint8Array.from(Buffer.from(film.pixels, "base64")), facts = {};
    const colour = film.colour && Uint8Array.from(Buffer.from(film.colour, "base64"));
    const given = { pixels, colour, width: film.width, height: film.height, facts }, { logit, map, doubt } = film.outputs;
    const { rows, columns } = contract.map, most = Math.max(...map), found = calibrated(card, Float32Array.from(logit));
    const outputs = { probabilities: found, logits: logit, map: Float32Array.from(map), doubts: doubt, rows, columns };
    const reading = readingOf(card, outputs, inputDoubts(given, card));
    const { left, top, right, bottom } = strongest(map, rows, columns, most);
    const kept = {
      square: Buffer.from(prepare(given, card.preprocess)).toString("base64") === film.square,
      probability: near(Array.from(found), film.outputs.probability, contract.tolerance.probability),
      map: reading.map.length === rows * columns,
      verdict: reading.verdict === film.verdict,
      called: reading.called === film.called,
      doubts: String(reading.doubts) === String(film.doubts),
      box: String(most >= FAINT ? [left, top, right, bottom] : null) === String(film.box),
    };
    return Object.keys(kept).filter((part) => !kept[part]).map((part) => `${film.name}: ${part}`);
  });
}
