// What the page's own parser and the package dicom-parser make of a film without preamble and of sequences in sequences.
//
//   npm install dicom-parser && node benchmarks/dicom_parser.mjs film.dcm node_modules/dicom-parser/dist/dicomParser.js

import fs from "node:fs";
import { createRequire } from "node:module";
import path from "node:path";
import { parse } from "../src/lucency/web/page/dicom_parse.js";

const [film, library] = process.argv.slice(2);
const { parseDicom } = createRequire(import.meta.url)(path.resolve(library));
const EXPLICIT = "1.2.840.10008.1.2.1\0", whole = new Uint8Array(fs.readFileSync(film));

/** A file of sequences in sequences, so many. */
function nested(depth) {
  let inner = Buffer.alloc(0);
  for (let level = 0; level < depth; level++) {
    const start = Buffer.from("400075025351" + "0000ffffffff" + "feff00e0ffffffff", "hex"), end = Buffer.from("feff0de000000000feffdde000000000", "hex");
    inner = Buffer.concat([start, inner, end]);
  }
  const syntax = Buffer.concat([Buffer.from([2, 0, 0x10, 0]), Buffer.from("UI"), Buffer.from([EXPLICIT.length, 0]), Buffer.from(EXPLICIT)]);
  return new Uint8Array(Buffer.concat([Buffer.alloc(128), Buffer.from("DICM"), syntax, inner]));
}

const files = { "the film": whole, "without preamble": whole.subarray(132), "20 deep": nested(20), "5,000 deep": nested(5000) };
for (const [name, bytes] of Object.entries(files)) {
  for (const [parser, read] of [["ours", (data) => parse(data).elements.size], ["dicom-parser", (data) => Object.keys(parseDicom(data).elements).length]]) {
    try {
      console.log(name, parser, read(bytes), "elements");
    } catch (error) {
      console.log(name, parser, error.constructor?.name, error.message ?? error.exception ?? error);
    }
  }
}
