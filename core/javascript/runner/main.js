// The component: what the world `entry-script` exports, in JavaScript.
//
// Everything here happens once, when lusk is built: the component is a snapshot
// of the engine after this module was evaluated.

import "./globals.js";
import "./files.js";
import "./http.js";
import "./onnx.js";
import { answer } from "./scoring.js";
import { start } from "./script.js";
import { staged } from "./staged.js";

const NEVER = "never settles: nothing is left that could settle it";

/** The exported interface `lusk:scoring/entry`. */
export const entry = {
  init: staged(start, `UserScriptInitFailed: the promise of init() or of an import ${NEVER}`),
  run: staged(answer, { tag: "script", val: `the promise of run() ${NEVER}` }),
};
