// Finds, imports and checks the entry script.

import files from "lusk:scoring/files@0.1.0";
import { render, summary } from "./failure.js";

const APP_ROOT = "/var/azureml-app";

/** What is called for each request; none before `start`. */
export let run = null;

/** Imports the script and calls its `init()`; throws the text of a failed start. */
export async function start() {
  const path = locate();
  const script = await telling("UserScriptImportError", () => import(path));
  const init = found(script, "init", path);
  const scoring = found(script, "run", path);
  await telling("UserScriptInitFailed", () => init());
  run = scoring;
}

async function telling(kind, work) {
  try {
    return await work();
  } catch (error) {
    const [first, ...rest] = [summary(error), ...render(error).split("\n").slice(1)];
    throw [`${kind}: ${first}`, ...rest].join("\n");
  }
}

function found(script, name, path) {
  if (typeof script[name] === "function") return script[name];
  const holder = script.default;
  if (typeof holder?.[name] === "function") return holder[name].bind(holder);
  throw `UserScriptFunctionNotFound: \`${path}\` does not export ${name}()`;
}

function locate() {
  const { AML_APP_ROOT, AZUREML_ENTRY_SCRIPT, AZUREML_SOURCE_DIRECTORY } = process.env;
  const root = AML_APP_ROOT || APP_ROOT;
  const name = AZUREML_ENTRY_SCRIPT || "main.js";
  const folders = AZUREML_SOURCE_DIRECTORY ? [`${root}/${AZUREML_SOURCE_DIRECTORY}`, root] : [root];
  const paths = folders.map((folder) => `${folder}/${name}`);
  const path = paths.find(isFile);
  if (path) return path;
  throw `UserScriptImportError: there is no entry script at ${paths.join(" or ")}`;
}

function isFile(path) {
  try {
    files.read(path);
    return true;
  } catch {
    return false;
  }
}
