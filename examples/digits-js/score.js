import { InferenceSession, Tensor } from "lusk:onnx";
import { argMax } from "./rows.js";

let session;

export async function init() {
  const path = `${process.env.AZUREML_MODEL_DIR}/digits.onnx`;
  session = await InferenceSession.create(path);
  console.log("loaded", path);
}

export async function run(data) {
  const rows = JSON.parse(data).data;
  const input = new Tensor("float32", rows.flat(), [rows.length, 64]);
  const outputs = await session.run({ [session.inputNames[0]]: input });
  const [, probabilities] = session.outputNames.map((name) => outputs[name]);
  return { label: argMax(probabilities), best: Math.max(...probabilities.data) };
}
