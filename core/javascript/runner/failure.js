// Errors as the author of a script wants to see them.

// Frames of the runner itself, which lies above the app root, and of the engine.
const OWN_FRAME = /[ (]\/[a-z]+\.js(:\d+)*\)?$|\(native\)$|^\s*at <anonymous>$/;

/** Type and message on one line. */
export function summary(error) {
  const text = error instanceof Error ? `${error.name}: ${error.message}` : `thrown: ${shown(error)}`;
  return text.replace(/\s*\n\s*/g, " ").trim();
}

/** The summary, then the script's own frames, then what caused it. */
export function render(error, depth = 0) {
  const lines = [summary(error)];
  if (error instanceof Error) {
    const frames = String(error.stack ?? "").split("\n");
    lines.push(...frames.filter((frame) => frame.trim() && !OWN_FRAME.test(frame)));
    if (error.cause !== undefined && depth < 5) {
      lines.push(`caused by ${render(error.cause, depth + 1)}`);
    }
  }
  return lines.join("\n");
}

function shown(value) {
  try {
    return typeof value === "object" ? JSON.stringify(value) : String(value);
  } catch {
    return Object.prototype.toString.call(value);
  }
}
