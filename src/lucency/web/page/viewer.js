// One film on a canvas: window, map, zoom and pan. What is drawn never changes what is read.

import { painted, window as seenBy } from "./lucency.js";

const MAP_SIDE = 320;
const MAX_ZOOM = 16;

/** How a film is looked at; two panes share one. */
export const VIEW = { zoom: 1, x: 0, y: 0, center: 0.5, width: 1, opacity: 0.7, map: true };

const clamp = (value, low, high) => Math.min(Math.max(value, low), high);

/** A film's pixels as RGBA through a window; center and width are shares of the full range. */
export function windowed(film, center, width) {
  const values = film.wide ?? film.pixels, top = film.wide ? 65535 : 255, table = new Uint32Array(top + 1);
  for (let value = 0; value <= top; value++) {
    table[value] = 0xff000000 | (Math.round(255 * clamp((value / top - center) / width + 0.5, 0, 1)) * 0x010101);
  }
  const out = new Uint32Array(values.length);
  for (let i = 0; i < values.length; i++) out[i] = table[values[i]];
  return new ImageData(new Uint8ClampedArray(out.buffer), film.width, film.height);
}

/** A canvas that holds these pixels. */
export function canvasOf(pixels) {
  const canvas = new OffscreenCanvas(pixels.width, pixels.height);
  canvas.getContext("2d").putImageData(pixels, 0, 0);
  return canvas;
}

/** A reading's map as a canvas, to be laid over the square that the network saw. */
export function mapCanvas({ map, rows, columns }) {
  return canvasOf(new ImageData(painted(map, rows, columns, MAP_SIDE), MAP_SIDE, MAP_SIDE));
}

/** Draw a film with its map into the rectangle at x, y, `scale` canvas pixels to one of the film. */
export function paint(pen, { film, base, map, fit }, { x, y, scale }, opacity) {
  const seen = seenBy(film.width, film.height, fit);
  pen.imageSmoothingQuality = "high";
  pen.save();
  pen.translate(x, y);
  pen.scale(scale, scale);
  pen.beginPath();
  pen.rect(0, 0, film.width, film.height);
  pen.clip();
  pen.drawImage(base, 0, 0);
  pen.globalAlpha = opacity;
  if (map && opacity) pen.drawImage(map, seen.left, seen.top, seen.width, seen.height);
  pen.globalAlpha = 1;
  if (seen.left > 0 || seen.top > 0) { // the network saw less than the film
    pen.strokeStyle = "#ffde46";
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
    for (const end of ["pointerup", "pointercancel"]) {
      canvas.addEventListener(end, (event) => this.pointers.delete(event.pointerId));
    }
    canvas.addEventListener("contextmenu", (event) => event.preventDefault());
    canvas.addEventListener("dblclick", () => this.changed(Object.assign(view, { zoom: 1, x: 0, y: 0 })));
  }

  /** Show a film, with a reading's map; null shows nothing. */
  show(film, reading, fit) {
    this.shown = film && { film, fit, map: reading && mapCanvas(reading), base: null };
    this.window = "";
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
    const { film } = this.shown, { zoom, x, y, map, opacity } = this.view;
    const scale = zoom * Math.min(width / film.width, height / film.height);
    const left = width / 2 + x * width - (film.width * scale) / 2, top = height / 2 + y * height - (film.height * scale) / 2;
    paint(pen, this.shown, { x: left, y: top, scale }, map ? opacity : 0);
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
  }

  move(event) {
    const before = this.pointers.get(event.pointerId);
    if (!before) return;
    const now = this.point(event);
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
