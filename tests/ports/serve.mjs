// Answers each line of stdin with one of stdout: what tests/ports/test_ports.py asks every port.
import { readFileSync } from "node:fs";
import { calibrated, colour, failed, gray, gray8, prepare, usual, verdict, window } from "../../src/lucency/web/page/lucency.js";
import { inputDoubts, readingOf } from "../../src/lucency/web/page/reading.js";
import { contractFailures } from "./contract.mjs";

const hex = (bytes) => Buffer.from(bytes).toString("hex");
const bytes = (digits) => new Uint8Array(Buffer.from(digits, "hex"));
const wide = (digits) => Uint16Array.from(digits.match(/.{4}/g), (four) => parseInt(four, 16));

const doubles = (list) => (list === "-" ? [] : list.split(",").map(Number));

/** "name=1,2;name=3" to the lists of a calibration. */
const parsed = (lists) =>
  Object.fromEntries((lists === "-" ? [] : lists.split(";")).map((pair) => pair.split("=")).map(([name, values]) => [name, doubles(values)]));

const inColour = (width, height, digits) => {
  const colour = bytes(digits);
  return { pixels: gray(colour, 3), colour, width: Number(width), height: Number(height), facts: {} };
};

const SIGHTS = ["colour", "round_field", "lesion", "head_slice", "lung_slice"];

const ANSWERS = {
  prepare([bits, width, height, side, fit, digits]) {
    const square = { side: Number(side), fit, filter: "bilinear-antialiased" };
    if (bits === "24") return hex(prepare(inColour(width, height, digits), { ...square, version: 2, channels: 3 }));
    const pixels = bits === "16" ? gray8(wide(digits)) : bytes(digits);
    return hex(prepare({ pixels, width: Number(width), height: Number(height) }, { ...square, version: 1 }));
  },
  gray: ([digits]) => hex(gray(bytes(digits))),
  colour: ([logit]) => colour(Math.fround(Number(logit))).join(" "),
  window([width, height, fit]) {
    const seen = window(Number(width), Number(height), fit);
    return [seen.left, seen.top, seen.width, seen.height].join(" ");
  },
  verdict([task, threshold, labels, least, limits, probabilities, doubts]) {
    const card = {
      task,
      labels: labels.split(","),
      operating_point: { threshold: threshold.includes(",") ? doubles(threshold) : Number(threshold) },
      abstention: { method: least === "-" ? "none" : "conformal", least: doubles(least) },
      gate: { checks: doubles(limits).map((limit) => ({ limit })) },
    };
    return verdict(card, Float32Array.from(doubles(probabilities)), Float32Array.from(doubles(doubts))) || "none";
  },
  gate([names, limits, doubts]) {
    const of = doubles(limits), checks = names.split(",").map((name, i) => ({ name, limit: of[i] }));
    return failed({ gate: { checks } }, Float32Array.from(doubles(doubts))).join(",") || "none";
  },
  calibrated([task, method, lists, logits]) {
    return calibrated({ task, calibration: { method, parameters: parsed(lists) } }, Float32Array.from(doubles(logits))).join(" ");
  },
  call([method, lists, rows, refer, least, logits]) {
    const costs = rows === "-" ? null : { called: rows.split(";").map(doubles), refer: doubles(refer) };
    const parameters = parsed(lists), abstention = { method: least === "-" ? "none" : "conformal", least: doubles(least) };
    const card = { task: "multiclass", labels: ["mel", "nv", "bkl"], operating_point: { threshold: 0.5 }, calibration: { method, parameters }, costs, abstention, gate: { checks: [] } };
    const given = Float32Array.from(doubles(logits)), map = new Float32Array(3);
    const reading = readingOf(card, { probabilities: calibrated(card, given), logits: given, map, rows: 1, columns: 1 }, []);
    return `${reading.called} ${reading.verdict} ${reading.doubts.join(",") || "-"}`;
  },
  contract([path, bundle]) {
    const contract = JSON.parse(readFileSync(path, "utf8"));
    const failures = contractFailures(contract, JSON.parse(readFileSync(`${bundle}/card.json`, "utf8")));
    return failures.length ? failures.join("; ") : `${contract.films.length} kept`;
  },
  sight([modality, width, height, digits]) {
    const card = { modality, preprocess: { side: 1 } };
    const codes = inputDoubts(inColour(width, height, digits), card).map(({ code }) => code);
    return codes.filter((code) => SIGHTS.includes(code)).join(",") || "none";
  },
  usual: ([width, height, digits]) =>
    String(usual({ pixels: bytes(digits), width: Number(width), height: Number(height) })),
  version([version, filter]) {
    try {
      prepare({ pixels: bytes("00"), width: 1, height: 1 }, { version: Number(version), side: 1, fit: "pad", filter });
      return "taken";
    } catch {
      return "refused";
    }
  },
};

const lines = readFileSync(0, "utf8").split("\n").filter(Boolean);
console.log(lines.map((line) => ((words) => ANSWERS[words[0]](words.slice(1)))(line.split(" "))).join("\n"));
