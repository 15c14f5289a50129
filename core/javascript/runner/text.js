// UTF-8, as browsers offer it.

/** Text to bytes. Half surrogates become U+FFFD. */
export class TextEncoder {
  get encoding() {
    return "utf-8";
  }

  encode(input = "") {
    const text = String(input);
    const bytes = new Uint8Array(text.length * 3);
    let size = 0;
    for (let at = 0; at < text.length; at += 1) {
      let code = text.charCodeAt(at);
      if (code < 0x80) {
        bytes[size++] = code;
        continue;
      }
      if (code >= 0xd800 && code < 0xe000) {
        code = text.codePointAt(at);
        if (code > 0xffff) at += 1;
        else code = 0xfffd;
      }
      if (code < 0x800) {
        bytes[size++] = 0xc0 | (code >> 6);
      } else {
        if (code > 0xffff) {
          bytes[size++] = 0xf0 | (code >> 18);
          bytes[size++] = 0x80 | ((code >> 12) & 0x3f);
        } else {
          bytes[size++] = 0xe0 | (code >> 12);
        }
        bytes[size++] = 0x80 | ((code >> 6) & 0x3f);
      }
      bytes[size++] = 0x80 | (code & 0x3f);
    }
    return bytes.slice(0, size);
  }
}

// Smallest code point for each number of bytes: a longer form is not valid.
const SMALLEST = [0, 0, 0x80, 0x800, 0x10000];

/** Bytes to text. What is not UTF-8 becomes U+FFFD, or an error if `fatal`. */
export class TextDecoder {
  #fatal;

  constructor(label = "utf-8", { fatal = false } = {}) {
    if (!/^utf-?8$/i.test(label)) {
      throw new RangeError(`TextDecoder knows utf-8 only, not \`${label}\``);
    }
    this.#fatal = fatal;
  }

  get encoding() {
    return "utf-8";
  }

  get fatal() {
    return this.#fatal;
  }

  decode(input = new Uint8Array(0)) {
    const bytes = ArrayBuffer.isView(input)
      ? new Uint8Array(input.buffer, input.byteOffset, input.byteLength)
      : new Uint8Array(input);
    const parts = [];
    let codes = [];
    let at = bytes[0] === 0xef && bytes[1] === 0xbb && bytes[2] === 0xbf ? 3 : 0;
    while (at < bytes.length) {
      const [code, size] = this.#next(bytes, at);
      codes.push(code);
      at += size;
      if (codes.length === 4096) {
        parts.push(String.fromCodePoint(...codes));
        codes = [];
      }
    }
    return parts.join("") + String.fromCodePoint(...codes);
  }

  #next(bytes, at) {
    const first = bytes[at];
    if (first < 0x80) return [first, 1];
    const size = first >= 0xf5 ? 0 : first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : first >= 0xc2 ? 2 : 0;
    let code = first & (0x7f >> size);
    let taken = 1;
    while (taken < size && (bytes[at + taken] & 0xc0) === 0x80) {
      code = (code << 6) | (bytes[at + taken] & 0x3f);
      taken += 1;
    }
    const whole = size > 0 && taken === size && code >= SMALLEST[size];
    if (whole && code <= 0x10ffff && (code < 0xd800 || code > 0xdfff)) return [code, size];
    if (this.#fatal) throw new TypeError("the bytes are not UTF-8");
    return [0xfffd, taken];
  }
}
