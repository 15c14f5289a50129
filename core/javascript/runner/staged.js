// Calls in three steps, so that what promises leave to be done is done within
// one call from outside. `build/graft.rs` is the other half of this.

const WORK_IS_UNDER_WAY = Object.freeze({});
const NEVER_DONE = Object.freeze({ then() {} });

/**
 * A function for the host: what `work`, an async function, settles with.
 * `neverSettled` is thrown when nothing is left that could settle it.
 */
export function staged(work, neverSettled) {
  let step = 0;
  let settled = null;
  return (...args) => {
    step += 1;
    if (step === 1) {
      settled = null;
      work(...args).then(
        (value) => { settled = { value }; },
        (error) => { settled = { error }; },
      );
      return WORK_IS_UNDER_WAY;
    }
    if (step === 2) return NEVER_DONE;
    step = 0;
    if (settled === null) throw neverSettled;
    if ("error" in settled) throw settled.error;
    return settled.value;
  };
}
