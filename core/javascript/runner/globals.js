// Globals that scripts expect and the engine does not have.

import environment from "wasi:cli/environment@0.2.0";
import exits from "wasi:cli/exit@0.2.0";
import random from "wasi:random/random@0.2.0";
import stderr from "wasi:cli/stderr@0.2.0";
import stdout from "wasi:cli/stdout@0.2.0";
import { TextDecoder, TextEncoder } from "./text.js";
import { inspect } from "./inspect.js";

// What a stream of the host takes at a time.
const CHUNK_BYTES = 4096;

const encoder = new TextEncoder();

// Each is opened once, for the engine frees no handles.
const streams = new Map();

function writeLine(getStream, values) {
  const text = values.map((value) => (typeof value === "string" ? value : inspect(value))).join(" ");
  const bytes = encoder.encode(`${text}\n`);
  if (!streams.has(getStream)) streams.set(getStream, getStream());
  const stream = streams.get(getStream);
  for (let start = 0; start < bytes.length; start += CHUNK_BYTES) {
    stream.blockingWriteAndFlush(bytes.slice(start, start + CHUNK_BYTES));
  }
}

const say = (...values) => writeLine(stdout.getStdout, values);
const complain = (...values) => writeLine(stderr.getStderr, values);

const console = { log: say, info: say, debug: say, error: complain, warn: complain, trace: complain };

// The engine's own generator would be in the same state in every instance.
const POOL_WORDS = 512;
let pool = new Uint32Array(0);
let used = 0;

function randomWord() {
  if (used === pool.length) {
    pool = new Uint32Array(random.getRandomBytes(POOL_WORDS * 4).slice().buffer);
    used = 0;
  }
  used += 1;
  return pool[used - 1];
}

Math.random = () => ((randomWord() >>> 5) * 67108864 + (randomWord() >>> 6)) / 9007199254740992;

const crypto = {
  getRandomValues(array) {
    const bytes = new Uint8Array(array.buffer, array.byteOffset, array.byteLength);
    bytes.set(random.getRandomBytes(bytes.length));
    return array;
  },
  randomUUID() {
    const bytes = random.getRandomBytes(16).slice();
    bytes[6] = (bytes[6] & 0x0f) | 0x40;
    bytes[8] = (bytes[8] & 0x3f) | 0x80;
    const hex = Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
    return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join("-");
  },
};

// Asked for when it is used: the snapshot is made in another environment.
let variables = null;
const process = {
  get env() {
    variables ??= Object.fromEntries(environment.getEnvironment());
    return variables;
  },
  exit(code = 0) {
    exits.exit({ tag: code === 0 ? "ok" : "err" });
  },
};

Object.assign(globalThis, { console, crypto, process, TextDecoder, TextEncoder });
