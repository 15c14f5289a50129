// `lusk:onnx`: models on the host's backends, in the manner of onnxruntime.

import handles from "lusk:javascript/handles@0.1.0";
import graphs from "wasi:nn/graph@0.2.0-rc-2024-10-28";
import info from "lusk:scoring/model-info@0.1.0";
import tensors from "wasi:nn/tensor@0.2.0-rc-2024-10-28";
import { asked } from "./host.js";

// By the names of onnxruntime: the host's kind, the array, how models call it.
const KINDS = {
  float32: ["FP32", Float32Array, "tensor(float)"],
  float64: ["FP64", Float64Array, "tensor(double)"],
  int32: ["I32", Int32Array, "tensor(int32)"],
  int64: ["I64", BigInt64Array, "tensor(int64)"],
  uint8: ["U8", Uint8Array, "tensor(uint8)"],
  bool: ["U8", Uint8Array, "tensor(bool)"],
};
const BY_HOST = { FP32: "float32", FP64: "float64", I32: "int32", I64: "int64", U8: "uint8" };

function typeOf(data) {
  const found = Object.keys(KINDS).find((type) => data instanceof KINDS[type][1]);
  if (found) return found;
  throw new TypeError(`a tensor holds one of ${Object.keys(KINDS).join(", ")}; name its type`);
}

/** Elements row by row, and their shape. */
export class Tensor {
  constructor(...given) {
    const [type, data, dims] = typeof given[0] === "string" ? given : [typeOf(given[0]), ...given];
    const kind = KINDS[type];
    if (!kind) {
      throw new TypeError(`tensors of ${type} are not there; there are ${Object.keys(KINDS).join(", ")}`);
    }
    this.type = type;
    this.data = data instanceof kind[1] ? data : kind[1].from(data, type === "int64" ? BigInt : Number);
    this.dims = dims ? Array.from(dims, Number) : [this.data.length];
    const size = this.dims.reduce((product, extent) => product * extent, 1);
    if (size !== this.data.length) {
      throw new RangeError(
        `a tensor of shape [${this.dims}] has ${size} elements, ${this.data.length} were given`,
      );
    }
  }

  get size() {
    return this.data.length;
  }
}

/** A loaded model. */
export class InferenceSession {
  #context;
  #inputs;
  #outputs;

  /** Loads the model at a path, or of a model's name. */
  static async create(path) {
    if (typeof path !== "string") {
      throw new TypeError("InferenceSession.create takes the path of a model");
    }
    const session = new InferenceSession();
    const signature = asked(() => info.describe(path));
    const graph = asked(() => graphs.loadByName(path));
    session.#context = asked(() => graph.initExecutionContext());
    handles.dropGraph(graph);
    session.#inputs = signature.inputs;
    session.#outputs = signature.outputs;
    return session;
  }

  get inputNames() {
    return this.#inputs.map(({ name }) => name);
  }

  get outputNames() {
    return this.#outputs.map(({ name }) => name);
  }

  get inputMetadata() {
    return this.#inputs.map(described);
  }

  get outputMetadata() {
    return this.#outputs.map(described);
  }

  /** The outputs by name, for the inputs by name. */
  async run(feeds, fetches) {
    for (const name of this.inputNames) {
      if (!(name in feeds)) throw new Error(`input \`${name}\` is missing in \`feeds\``);
    }
    const given = Object.entries(feeds).map(([name, tensor]) => [name, this.#lowered(name, tensor)]);
    if (this.#context === null) throw new Error("the session was released");
    // The inputs are the host's from here on.
    const computed = new Map(asked(() => this.#context.compute(given)));
    try {
      const wanted = Array.isArray(fetches) ? fetches : this.outputNames;
      return Object.fromEntries(wanted.map((name) => [name, this.#lifted(name, computed.get(name))]));
    } finally {
      computed.forEach((tensor) => handles.dropTensor(tensor));
    }
  }

  /** Lets go of the model. */
  async release() {
    if (this.#context !== null) handles.dropContext(this.#context);
    this.#context = null;
  }

  #lowered(name, tensor) {
    const spec = this.#inputs.find((input) => input.name === name);
    if (!spec) throw new Error(`the model has no input \`${name}\`; it has ${this.inputNames.join(", ")}`);
    if (!(tensor instanceof Tensor)) throw new TypeError(`input \`${name}\` is no Tensor`);
    const [kind, , called] = KINDS[tensor.type];
    if (spec.kind in BY_MODEL && spec.kind !== called) {
      throw new TypeError(`input \`${name}\` is of type ${called}, the model takes ${spec.kind}`);
    }
    const { buffer, byteOffset, byteLength } = tensor.data;
    return new tensors.Tensor(tensor.dims, kind, new Uint8Array(buffer, byteOffset, byteLength).slice());
  }

  #lifted(name, computed) {
    const spec = this.#outputs.find((output) => output.name === name);
    if (!computed || !spec) {
      throw new Error(`the model has no output \`${name}\`; it has ${this.outputNames.join(", ")}`);
    }
    const type = BY_MODEL[spec.kind] ?? BY_HOST[computed.ty()];
    if (!type) throw new Error(`output \`${name}\` has elements of ${computed.ty()}`);
    // A copy begins where the elements of any type may begin.
    const bytes = Uint8Array.from(computed.data());
    return new Tensor(type, new KINDS[type][1](bytes.buffer), computed.dimensions());
  }
}

const BY_MODEL = Object.fromEntries(Object.entries(KINDS).map(([type, [, , called]]) => [called, type]));

const described = ({ name, kind, shape }) => ({
  name,
  isTensor: true,
  type: BY_MODEL[kind] ?? kind,
  shape: shape.map(Number),
});

export default { InferenceSession, Tensor };
