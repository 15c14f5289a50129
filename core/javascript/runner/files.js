// `lusk:files`: files of the snapshot and the models.

import files from "lusk:scoring/files@0.1.0";

/** The bytes of a file; relative paths begin at the app root. */
export function readFile(path) {
  try {
    return new Uint8Array(files.read(String(path)));
  } catch (problem) {
    throw problem instanceof Error ? problem : new Error(String(problem));
  }
}

/** The text of a file in UTF-8. */
export function readText(path) {
  return new TextDecoder("utf-8", { fatal: true }).decode(readFile(path));
}
