// A reading as a picture to keep or print: film, map, scale, words, notice. Never a file's name, which may name a patient.

import { named, say } from "./i18n.js";
import { colour } from "./lucency.js";
import { zones } from "./reading.js";
import { percentWords, scaleWords, tone, verdictWords } from "./reading_view.js";
import { paint } from "./viewer.js";

const WIDE = 1240, EDGE = 48, TALL = 900, INNER = WIDE - 2 * EDGE;
const INK = "#14181c", FAINT = "#5b666e", PAPER = "#ffffff";
const COLOURS = { finding: "#b98900", clear: "#2f7d6b", uncertain: "#6b5fa8" };

/** A canvas of the reading as shown: white paper, so that it prints. @param {object} shown what a viewer shows */
export function sheet(card, digest, reading, shown, view) {
  const canvas = document.createElement("canvas");
  const pen = canvas.getContext("2d");
  pen.font = font(26);
  const lines = reading.warnings.flatMap((words) => wrapped(pen, `• ${words}`, INNER));
  const { film } = shown;
  const size = Math.min((INNER) / film.width, TALL / film.height);
  const below = EDGE + film.height * size;
  canvas.width = WIDE;
  canvas.height = Math.ceil(below + 360 + 36 * lines.length);
  pen.fillStyle = PAPER;
  pen.fillRect(0, 0, canvas.width, canvas.height);
  paint(pen, shown, { x: (WIDE - film.width * size) / 2, y: EDGE, scale: size }, view.map ? view.opacity : 0);
  legend(pen, below + 22, named(reading.finding));
  write(pen, verdictWords(reading), EDGE, below + 138, 46, COLOURS[tone(card, reading)], "left", 600);
  const probability = say("saved_probability", { finding: named(reading.finding), percent: percentWords(reading.probability) });
  write(pen, probability, WIDE - EDGE, below + 138, 34, INK, "right", 600);
  bar(pen, below + 190, card, reading);
  lines.forEach((line, i) => write(pen, line, EDGE, below + 292 + 36 * i, 26, INK));
  write(pen, say("notice"), EDGE, canvas.height - 28, 24, "#a01e00");
  const bundle = say("saved_bundle", { name: card.name, digest: digest.slice(0, 16) });
  write(pen, bundle, WIDE - EDGE, canvas.height - 28, 20, FAINT, "right");
  return canvas;
}

const font = (size, weight = 400) => `${weight} ${size}px system-ui, sans-serif`;

function write(pen, text, x, y, size, ink, align = "left", weight = 400) {
  Object.assign(pen, { font: font(size, weight), fillStyle: ink, textAlign: align, textBaseline: "alphabetic" });
  pen.fillText(text, x, y);
}

function bar(pen, y, card, reading) {
  for (const { from, to, verdict } of zones(card)) {
    pen.fillStyle = COLOURS[tone(card, { verdict })];
    pen.globalAlpha = 0.35;
    pen.fillRect(EDGE + from * INNER, y - 24, (to - from) * INNER, 20);
    pen.globalAlpha = 1;
  }
  pen.fillStyle = INK;
  if (card.task !== "multiclass") pen.fillRect(EDGE + card.operating_point.threshold * INNER - 1, y - 30, 2, 32);
  pen.beginPath();
  pen.arc(EDGE + reading.probability * INNER, y - 14, 12, 0, 7);
  pen.fill();
  for (const tick of [0, 50, 100]) write(pen, `${tick} %`, EDGE + (tick / 100) * INNER, y + 22, 18, FAINT, ["left", "center", "right"][tick / 50]);
  write(pen, scaleWords(card), EDGE, y + 52, 20, FAINT);
}

function legend(pen, y, finding) {
  const wide = 420, left = (WIDE - wide) / 2;
  drawRamp(pen, left, y, wide, 14);
  write(pen, `${say("legend_against")} ${finding}`, left - 12, y + 13, 18, FAINT, "right");
  write(pen, `${say("legend_for")} ${finding}`, left + wide + 12, y + 13, 18, FAINT);
}

/** The colours of the map from all against to all for. */
export function drawRamp(pen, x, y, wide, tall) {
  for (let i = 0; i < wide; i++) {
    const [red, green, blue] = colour((i / (wide - 1)) * 20 - 10);
    pen.fillStyle = `rgb(${red}, ${green}, ${blue})`;
    pen.fillRect(x + i, y, 1, tall);
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
