// `lusk:files`: files of the snapshot and the models.

import files from "lusk:scoring/files@0.1.0";
import { asked } from "./host.js";

/** The bytes of a file; relative paths begin at the app root. */
export function readFile(path) {
  return new Uint8Array(asked(() => files.read(String(path))));
}

/** The text of a file in UTF-8. */
export function readText(path) {
  return new TextDecoder("utf-8", { fatal: true }).decode(readFile(path));
}
