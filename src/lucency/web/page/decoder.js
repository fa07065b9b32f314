// A worker that decodes films and finds the lungs on them, one after another; film_queue.js starts and ends it.

const modules = Promise.all([import("./errors.js"), import("./film.js"), import("./lungs.js")]);
/** Not imported statically: texts are awaited there, and a film that comes before the listener would be lost. */

addEventListener("message", async ({ data }) => {
  const [{ damaged, FilmError }, { openFilm }, { findLungs }] = await modules;
  try {
    if (data.pixels) return postMessage({ answer: await findLungs(data) });
    const film = await openFilm(data);
    postMessage({ answer: film }, [film.pixels, film.wide, film.colour].filter(Boolean).map(({ buffer }) => buffer));
  } catch (error) {
    postMessage({ refused: (error instanceof FilmError ? error : damaged("film")).message });
  }
});
