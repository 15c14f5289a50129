// What the host answers; its errors become errors of JavaScript.

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
  if (typeof payload?.code === "function") return new Error(`${payload.code()}: ${payload.data()}`);
  return problem instanceof Error ? problem : new Error(String(problem));
}
