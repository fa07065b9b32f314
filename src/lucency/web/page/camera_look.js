// What one picture of the camera shows: a film, followed from the picture before, squared and averaged, or none.

import { cameraDoubts } from "./camera_doubts.js";
import { rectify } from "./homography.js";

const FILM = 512;
/** Pixels along the longer side of the film: as many as the camera gives of it, or a screen's pixels turn into stripes. */

/**
 * @param {Tracker} tracker @param {{pixels, width, height}} photo gray
 * @returns {{corners, still, pictures, film, doubts}} corners null without a film; film: the mean of the last pictures of it, of
 *   which there are so many; doubts: of `cameraDoubts`
 */
export function look(tracker, photo) {
  const found = tracker.search(photo), corners = tracker.follow(found);
  if (!corners) return { corners, still: false, pictures: 0, film: null, doubts: [] };
  const film = rectify(photo, found ?? corners, FILM, tracker.film), doubts = cameraDoubts(film);
  return { corners, film: { ...tracker.average(film), facts: {} }, still: tracker.still, pictures: tracker.pictures, doubts };
}
