// One film on a canvas: window, map, zoom and pan. What is drawn never changes what is read.

import { drawMarks, KEY, marksOf, veilCanvas } from "./evidence.js";
import { window as seenBy } from "./lucency.js";

const MAX_ZOOM = 16;
const HOLD = 350, STILL = 0.01;
/** Milliseconds that a finger rests on a film to see it bare, and how far it may move meanwhile, as a share of the canvas. */

/** How a film is looked at; two panes share one. bare: the map is held off. */
export const VIEW = { zoom: 1, x: 0, y: 0, center: 0.5, width: 1, opacity: 1, map: true, bare: false };

const clamp = (value, low, high) => Math.min(Math.max(value, low), high);

/** A film's pixels as RGBA through a window; center and width are shares of the full range. */
export function windowed(film, center, width) {
  const values = film.wide ?? film.pixels, top = film.wide && !film.colour ? 65535 : 255, table = new Uint32Array(top + 1);
  for (let value = 0; value <= top; value++) {
    table[value] = 0xff000000 | (Math.round(255 * clamp((value / top - center) / width + 0.5, 0, 1)) * 0x010101);
  }
  const out = new Uint32Array(values.length), { colour } = film;
  if (colour) for (let i = 0; i < out.length; i++) out[i] = coloured(table[colour[3 * i]], table[colour[3 * i + 1]], table[colour[3 * i + 2]]);
  else for (let i = 0; i < out.length; i++) out[i] = table[values[i]];
  return new ImageData(new Uint8ClampedArray(out.buffer), film.width, film.height);
}

/** Red of the first, green of the second, blue of the third, as ABGR. */
const coloured = (red, green, blue) => 0xff000000 | (red & 0xff) | (green & 0xff00) | (blue & 0xff0000);

/** A canvas that holds these pixels. */
export function canvasOf(pixels) {
  const canvas = new OffscreenCanvas(pixels.width, pixels.height);
  canvas.getContext("2d").putImageData(pixels, 0, 0);
  return canvas;
}

/** Draw a film with its map into the rectangle at x, y, `scale` canvas pixels to one of the film. */
export function paint(pen, { film, base, marks, veil, lungs, resizeMode }, { x, y, scale }, opacity) {
  const seen = seenBy(film.width, film.height, resizeMode);
  pen.imageSmoothingQuality = "high";
  pen.save();
  pen.translate(x, y);
  pen.scale(scale, scale);
  pen.beginPath();
  pen.rect(0, 0, film.width, film.height);
  pen.clip();
  pen.drawImage(base, 0, 0);
  pen.globalAlpha = opacity;
  if (marks && opacity) {
    pen.drawImage(veil, seen.left, seen.top, seen.width, seen.height);
    drawMarks(pen, marks, seen, lungs, film, Math.max(1.5, Math.min(film.width, film.height) * scale / 400) / scale);
  }
  pen.globalAlpha = 1;
  if (seen.left > 0 || seen.top > 0) { // the network saw less than the film
    pen.strokeStyle = KEY.evidence;
    pen.lineWidth = 1.5 / scale;
    pen.strokeRect(seen.left, seen.top, seen.width, seen.height);
  }
  pen.restore();
}

/** A canvas with a film on it. `view` is shared; `changed` is called when a hand has changed it. */
export class Viewer {
  constructor(canvas, view, changed) {
    Object.assign(this, { canvas, view, changed, shown: null, window: "", pointers: new Map(), drag: "pan" });
    new ResizeObserver(() => this.draw()).observe(canvas);
    canvas.addEventListener("wheel", (event) => this.wheel(event), { passive: false });
    canvas.addEventListener("pointerdown", (event) => this.down(event));
    canvas.addEventListener("pointermove", (event) => this.move(event));
    for (const end of ["pointerup", "pointercancel"]) canvas.addEventListener(end, (event) => this.up(event));
    canvas.addEventListener("contextmenu", (event) => event.preventDefault());
    canvas.addEventListener("dblclick", () => this.changed(Object.assign(view, { zoom: 1, x: 0, y: 0 })));
  }

  /** Show a film, with a reading's map; null shows nothing. `lungs`: their outline, when it is found. */
  show(film, reading, resizeMode, lungs) {
    const marks = reading && marksOf(reading);
    const shown = (this.shown = film && { film, resizeMode, marks, veil: marks && veilCanvas(marks), base: null, lungs: null, found: null });
    this.canvas.parentElement.style.setProperty("--shape", film ? film.width / film.height : 1);
    this.window = "";
    this.draw();
    if (shown) shown.found = lungs(film).then((found) => { shown.lungs = found; this.draw(); });
  }

  /** The same film with the map of another label. */
  remark(reading) {
    const marks = marksOf(reading);
    Object.assign(this.shown, { marks, veil: veilCanvas(marks) });
    this.draw();
  }

  draw() {
    const ratio = devicePixelRatio || 1;
    const { clientWidth, clientHeight } = this.canvas;
    const width = Math.round(clientWidth * ratio), height = Math.round(clientHeight * ratio);
    if (this.canvas.width !== width) this.canvas.width = width;
    if (this.canvas.height !== height) this.canvas.height = height;
    const pen = this.canvas.getContext("2d");
    pen.clearRect(0, 0, width, height);
    if (!this.shown || !width || !height) return;
    this.applyWindow();
    const { film } = this.shown, { zoom, x, y, map, opacity, bare } = this.view;
    const scale = zoom * Math.min(width / film.width, height / film.height);
    const left = width / 2 + x * width - (film.width * scale) / 2, top = height / 2 + y * height - (film.height * scale) / 2;
    paint(pen, this.shown, { x: left, y: top, scale }, map && !bare ? opacity : 0);
  }

  /** Put the film through the window, if that has changed since. */
  applyWindow() {
    const { center, width } = this.view, key = `${center} ${width}`;
    if (this.window === key) return;
    this.shown.base = canvasOf(windowed(this.shown.film, center, width));
    this.window = key;
  }

  /** Zoom by a factor about a point of the canvas, in shares of its size from its middle. */
  zoomBy(factor, x = 0, y = 0) {
    const zoom = clamp(this.view.zoom * factor, 1, MAX_ZOOM), real = zoom / this.view.zoom;
    this.place(zoom, x - (x - this.view.x) * real, y - (y - this.view.y) * real);
  }

  place(zoom, x, y) {
    const most = (zoom - 1) / 2 + 0.25 * Number(zoom > 1);
    this.changed(Object.assign(this.view, { zoom, x: clamp(x, -most, most), y: clamp(y, -most, most) }));
  }

  point({ clientX, clientY }) {
    const box = this.canvas.getBoundingClientRect();
    return { x: (clientX - box.left) / box.width - 0.5, y: (clientY - box.top) / box.height - 0.5 };
  }

  wheel(event) {
    event.preventDefault();
    const { x, y } = this.point(event);
    this.zoomBy(Math.exp(-event.deltaY / 400), x, y);
  }

  down(event) {
    this.canvas.setPointerCapture(event.pointerId);
    this.pointers.set(event.pointerId, this.point(event));
    clearTimeout(this.holding);
    this.start = this.point(event);
    if (this.pointers.size === 1) this.holding = setTimeout(() => this.bare(true), HOLD);
  }

  up(event) {
    this.pointers.delete(event.pointerId);
    clearTimeout(this.holding);
    this.bare(false);
  }

  /** Hold the map off, or lay it on again. */
  bare(on) {
    if (this.view.bare !== on) this.changed((this.view.bare = on));
  }

  move(event) {
    const before = this.pointers.get(event.pointerId);
    if (!before) return;
    const now = this.point(event);
    if (Math.hypot(now.x - this.start.x, now.y - this.start.y) > STILL) clearTimeout(this.holding);
    const other = [...this.pointers].find(([id]) => id !== event.pointerId)?.[1];
    this.pointers.set(event.pointerId, now);
    const dx = now.x - before.x, dy = now.y - before.y;
    if (other) {
      const apart = (one) => Math.hypot(one.x - other.x, one.y - other.y) || 1e-6;
      this.zoomBy(apart(now) / apart(before), other.x, other.y);
    } else if (this.drag === "window" || event.buttons === 2 || event.shiftKey) {
      this.windowBy(dx, dy);
    } else {
      this.place(this.view.zoom, this.view.x + dx, this.view.y + dy);
    }
  }

  /** As radiographs are windowed: sideways the width, up and down the level. */
  windowBy(dx, dy) {
    const { width, center } = this.view;
    this.changed(Object.assign(this.view, { width: clamp(width * Math.exp(2 * dx), 0.02, 2), center: clamp(center + dy * width, 0, 1) }));
  }
}
