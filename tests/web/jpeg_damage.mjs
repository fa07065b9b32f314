// JPEGs in base64, one a line, to what the page finds in each: tests/web/test_damage.py asks.
import { readFileSync } from "node:fs";
import { checkJpeg } from "../../src/lucency/web/page/jpeg.js";
import { findDamage } from "../../src/lucency/web/page/jpeg_scans.js";

const seen = (bytes) => {
  try {
    return findDamage(bytes, checkJpeg(bytes, 3)) || "whole";
  } catch (error) {
    return error.constructor.name === "FilmError" ? "refused" : error.stack.replaceAll("\n", " ");
  }
};
for (const line of readFileSync(0, "utf8").split("\n").filter(Boolean)) console.log(seen(new Uint8Array(Buffer.from(line, "base64"))));
