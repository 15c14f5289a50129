// What the host answers; its errors become errors of JavaScript.

import handles from "lusk:javascript/handles@0.1.0";

export function asked(work) {
  try {
    return work();
  } catch (problem) {
    throw translated(problem);
  }
}

function translated(problem) {
  const payload = problem?.payload ?? problem;
  if (typeof payload === "string") return new Error(payload);
  if (typeof payload?.code === "function") {
    const error = new Error(`${payload.code()}: ${payload.data()}`);
    handles.dropError(payload);
    return error;
  }
  return problem instanceof Error ? problem : new Error(String(problem));
}
