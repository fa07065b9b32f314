// A worker that looks for a film in the camera's pictures, one after another, while the page reads the picture before.

const modules = Promise.all([import("./camera_look.js"), import("./lucency.js"), import("./tracker.js")]);
/** Not imported statically: texts are awaited there, and a picture that comes before the listener would be lost. */
let tracker = null;

addEventListener("message", async ({ data: { data, width, height, preprocess } }) => {
  try {
    const [{ look }, { gray, prepare }, { Tracker }] = await modules;
    const seen = look((tracker ??= new Tracker()), { pixels: gray(data), width, height });
    postMessage(seen.film ? { ...seen, square: prepare(seen.film, preprocess) } : seen);
  } catch (error) {
    postMessage({ failed: error.message });
  }
});
