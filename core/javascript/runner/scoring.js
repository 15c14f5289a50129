// Answers requests: what `run()` gets, and what is made of its result.

import { render, summary } from "./failure.js";
import { FAILED_HEADER, Response, wire } from "./http.js";
import { run } from "./script.js";

// Not a method of HTTP: the host asks for the script's schema by it.
const SCHEMA_METHOD = "SCHEMA";

const ANY = { type: "object", example: {} };
const PLAIN = JSON.stringify({ kind: "plain", input: ANY, output: ANY });

/** The reply to one request; throws a `run-error`. */
export async function answer(request) {
  if (request.method === SCHEMA_METHOD) return json(PLAIN);
  const data = input(request);
  let result;
  try {
    result = await run(data, described(request));
  } catch (error) {
    console.error(render(error));
    throw { tag: "script", val: summary(error) };
  }
  return reply(result);
}

function input({ method, target, body }) {
  if (method === "GET") return JSON.stringify(query(target));
  if (body.tag === "text") return body.val;
  throw { tag: "bad-request", val: "the body is not UTF-8" };
}

function described({ method, target, headers }) {
  const joined = {};
  for (const [name, value] of headers) {
    joined[name] = name in joined ? `${joined[name]}, ${value}` : value;
  }
  return { method, target, headers: joined };
}

/** The query's parameters, each value as JSON where it is JSON. */
function query(target) {
  const at = target.indexOf("?");
  const values = new Map();
  const pairs = at < 0 ? [] : target.slice(at + 1).split("&").filter(Boolean);
  for (const pair of pairs) {
    const [name, ...rest] = pair.split("=").map(decoded);
    values.set(name, [...(values.get(name) ?? []), jsonOrText(rest.join("="))]);
  }
  const single = ([name, all]) => [name, all.length > 1 ? all : all[0]];
  return Object.fromEntries(Array.from(values, single));
}

function decoded(text) {
  const spaced = text.replaceAll("+", " ");
  try {
    return decodeURIComponent(spaced);
  } catch {
    return spaced;
  }
}

function jsonOrText(text) {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

function reply(result) {
  if (result instanceof Response) return wire(result);
  if (typeof result === "string") return text(result, "text/plain; charset=utf-8");
  let body;
  try {
    body = JSON.stringify(result ?? {});
  } catch (error) {
    return unwritten(result, error);
  }
  return body === undefined ? unwritten(result) : json(body);
}

function unwritten(result, error) {
  const why = error ? `: ${summary(error)}` : "";
  console.error(`run() returned a ${typeof result} that cannot be written as JSON${why}`);
  const message = "an internal error occurred while the result was written";
  return { ...json(JSON.stringify({ message })), status: 500 };
}

const json = (body) => text(body, "application/json");

function text(body, type) {
  const headers = [["content-type", type], [FAILED_HEADER, "False"]];
  return { status: 200, headers, body: { tag: "text", val: body.toWellFormed() } };
}
