// A reading as a page to keep or print: the film, the film with its map and the lungs' outline, the scale, the words, the
// notice. Never a file's name, which may name a patient.

import { named, say } from "./i18n.js";
import { zones } from "./reading.js";
import { evidenceWords, HAS_LUNGS, labelShare, LEADING, placeOf, readingShare, scaleWords, shownLabels, TICKS, tone, verdictWords } from "./reading_view.js";
import { KEY } from "./evidence.js";
import { paint } from "./viewer.js";

const WIDE = 1240, EDGE = 48, TALL = 1000, INNER = WIDE - 2 * EDGE, GAP = 24, HALF = (INNER - GAP) / 2;
const INK = "#14181c", FAINT = "#5b666e", PAPER = "#ffffff";
const COLOURS = { finding: "#b3124f", clear: "#1f6d5b", uncertain: "#5b4da0" };

/** A canvas of the reading as shown: white paper, so that it prints. @param {object} shown what a viewer shows */
export function sheet(card, digest, reading, shown, view) {
  const canvas = document.createElement("canvas");
  const pen = canvas.getContext("2d");
  pen.font = font(26);
  const lines = reading.warnings.flatMap((words) => wrapped(pen, `• ${words}`, INNER));
  const more = 38 * (shownLabels(reading) - LEADING);
  const { film } = shown, scale = Math.min(HALF / film.width, TALL / film.height), below = EDGE + 40 + film.height * scale;
  canvas.width = WIDE;
  canvas.height = Math.ceil(below + 400 + more + 36 * lines.length);
  pen.fillStyle = PAPER;
  pen.fillRect(0, 0, canvas.width, canvas.height);
  [["saved_film", 0], ["saved_map", view.opacity]].forEach(([name, opacity], i) => {
    const middle = EDGE + i * (HALF + GAP) + HALF / 2;
    write(pen, say(name), middle, EDGE + 18, 22, FAINT, "center");
    paint(pen, shown, { x: middle - (film.width * scale) / 2, y: EDGE + 40, scale }, opacity);
  });
  if (!reading.withheld) legend(pen, below + 40, reading);
  const taken = write(pen, verdictWords(reading), EDGE, below + 148, 46, COLOURS[tone(card, reading)], "left", 600, 0.6 * INNER);
  const probability = say("saved_probability", { finding: named(reading.finding), share: readingShare(reading) });
  write(pen, probability, WIDE - EDGE, below + 148, 30, INK, "right", 600, INNER - taken - GAP);
  if (!reading.withheld) (card.task === "binary" ? bar : shares)(pen, below + 210, card, reading);
  lines.forEach((line, i) => write(pen, line, EDGE, below + 322 + more + 36 * i, 26, INK));
  write(pen, say("notice"), EDGE, canvas.height - 28, 24, "#a01e00");
  const bundle = say("saved_bundle", { name: card.name, digest: digest.slice(0, 16) });
  write(pen, bundle, WIDE - EDGE, canvas.height - 28, 20, FAINT, "right");
  return canvas;
}

const font = (size, weight = 400) => `${weight} ${size}px system-ui, sans-serif`;

/** A line of text, smaller where it would be wider than `most`. @returns {number} its width */
function write(pen, text, x, y, size, ink, align = "left", weight = 400, most = INNER) {
  Object.assign(pen, { font: font(size, weight), fillStyle: ink, textAlign: align, textBaseline: "alphabetic" });
  const { width } = pen.measureText(text);
  if (width > most) pen.font = font(Math.floor((size * most) / width), weight);
  pen.fillText(text, x, y);
  return Math.min(width, most);
}

function bar(pen, y, card, reading) {
  const at = (share) => EDGE + placeOf(share) * INNER;
  for (const { from, to, verdict } of zones(card)) {
    pen.fillStyle = COLOURS[tone(card, { verdict })];
    pen.globalAlpha = 0.3;
    pen.fillRect(at(from), y - 30, at(to) - at(from), 26);
    pen.globalAlpha = 1;
  }
  pen.fillStyle = INK;
  pen.fillRect(at(card.operating_point.threshold) - 1, y - 36, 2, 38);
  pen.beginPath();
  pen.arc(at(reading.probability), y - 17, 12, 0, 7);
  pen.fill();
  TICKS.forEach((tick, i) => write(pen, `${Math.round(100 * tick)} %`, at(tick), y + 22, 18, FAINT, ["left", "center", "center", "center", "right"][i]));
  write(pen, scaleWords(card).join(" · "), EDGE, y + 54, 20, FAINT);
}

/** The leading of several labels with their probabilities. */
function shares(pen, y, card, reading) {
  reading.leading.slice(0, shownLabels(reading)).forEach((index, i) => {
    const share = reading.probabilities[index], line = y - 20 + 38 * i;
    write(pen, named(card.labels[index]), EDGE, line, 24, INK);
    pen.fillStyle = FAINT;
    pen.fillRect(EDGE + INNER / 3, line - 18, (INNER / 2) * share, 20);
    write(pen, labelShare(share), WIDE - EDGE, line, 24, INK, "right");
  });
}

/** What the colours on the film mean. */
function legend(pen, y, reading) {
  const keys = [[KEY.evidence, evidenceWords(reading)], [KEY.box, say("legend_box")]];
  if (HAS_LUNGS) keys.push([KEY.lungs, say("legend_lungs")]);
  let x = EDGE;
  for (const [ink, words] of keys) {
    Object.assign(pen, { fillStyle: ink, strokeStyle: FAINT, lineWidth: 1 });
    pen.fillRect(x, y - 15, 18, 18);
    pen.strokeRect(x, y - 15, 18, 18);
    write(pen, words, x + 28, y, 20, INK);
    x += 68 + pen.measureText(words).width;
  }
}

function wrapped(pen, text, wide) {
  const lines = [];
  for (const word of text.split(" ")) {
    const last = lines.at(-1);
    if (last !== undefined && pen.measureText(`${last} ${word}`).width <= wide) lines[lines.length - 1] = `${last} ${word}`;
    else lines.push(word);
  }
  return lines;
}

/** Save a canvas as a PNG. */
export async function download(canvas, name) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(await new Promise((done) => canvas.toBlob(done, "image/png")));
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}
