// `lusk:http`: answers of which the script chooses status, headers and body.

export const FAILED_HEADER = "x-ms-run-function-failed";

/** A raw answer, made like the `Response` of browsers. */
export class Response {
  constructor(body = "", { status = 200, headers = {} } = {}) {
    if (!Number.isInteger(status) || status < 200 || status > 599) {
      throw new RangeError(`the status of a Response lies in 200..=599, not ${status}`);
    }
    this.status = status;
    this.headers = Array.from(
      typeof headers[Symbol.iterator] === "function" ? headers : Object.entries(headers),
      ([name, value]) => [String(name).toLowerCase(), String(value)],
    );
    this.body = body ?? "";
  }

  /** An answer in JSON. */
  static json(value, options = {}) {
    const response = new Response(JSON.stringify(value), options);
    return response.withType("application/json");
  }

  withType(type) {
    if (!this.headers.some(([name]) => name === "content-type")) {
      this.headers.push(["content-type", type]);
    }
    return this;
  }
}

/** What the host takes. */
export function wire(response) {
  const bytes = typeof response.body === "string" ? null : asBytes(response.body);
  response.withType(bytes ? "application/octet-stream" : "text/plain; charset=utf-8");
  const headers = response.headers.filter(([name]) => name !== FAILED_HEADER);
  const said = response.headers.find(([name]) => name === FAILED_HEADER)?.[1];
  const failed = response.status >= 500 || String(said).toLowerCase() === "true";
  headers.push([FAILED_HEADER, failed ? "True" : "False"]);
  const body = bytes
    ? { tag: "bytes", val: bytes }
    : { tag: "text", val: response.body.toWellFormed() };
  return { status: response.status, headers, body };
}

function asBytes(body) {
  if (body instanceof ArrayBuffer) return new Uint8Array(body);
  if (ArrayBuffer.isView(body)) {
    return new Uint8Array(body.buffer, body.byteOffset, body.byteLength).slice();
  }
  throw { tag: "script", val: "the body of a Response is neither text nor bytes" };
}
