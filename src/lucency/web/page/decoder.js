// A worker that decodes films, one after another; film_queue.js starts and ends it.

import { damaged, FilmError } from "./errors.js";
import { openFilm } from "./film.js";

addEventListener("message", async ({ data }) => {
  try {
    const film = await openFilm(data);
    postMessage({ film }, [film.pixels, film.wide].filter(Boolean).map(({ buffer }) => buffer));
  } catch (error) {
    postMessage({ refused: (error instanceof FilmError ? error : damaged("film")).message });
  }
});
