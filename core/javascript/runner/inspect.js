// Values as `console.log` shows them.

const MAX_DEPTH = 4;
const MAX_ITEMS = 100;

/** One line for plain values; an error with its stack. */
export function inspect(value, depth = 0, seen = []) {
  if (typeof value === "string") return depth === 0 ? value : JSON.stringify(value);
  if (typeof value === "bigint") return `${value}n`;
  if (typeof value === "symbol") return value.toString();
  if (typeof value === "function") return `[function ${value.name || "anonymous"}]`;
  if (typeof value !== "object" || value === null) return String(value);
  if (value instanceof Error) return `${value.name}: ${value.message}\n${value.stack ?? ""}`.trimEnd();
  if (seen.includes(value)) return "[circular]";
  const within = [...seen, value];
  const inner = (item) => inspect(item, depth + 1, within);
  if (Array.isArray(value) || ArrayBuffer.isView(value)) return list(value, depth, inner);
  if (value instanceof Date) return Number.isNaN(value.getTime()) ? "Invalid Date" : value.toISOString();
  if (value instanceof Promise) return "Promise {}";
  const kind = value.constructor?.name;
  const name = kind && kind !== "Object" ? `${kind} ` : "";
  if (depth >= MAX_DEPTH) return `${name}{…}`;
  const pairs =
    value instanceof Map
      ? Array.from(value, ([key, item]) => `${inner(key)} => ${inner(item)}`)
      : value instanceof Set
        ? Array.from(value, inner)
        : Object.entries(value).map(([key, item]) => `${key}: ${inner(item)}`);
  return name + (pairs.length ? `{ ${shortened(pairs).join(", ")} }` : "{}");
}

function list(value, depth, inner) {
  const name = Array.isArray(value) ? "" : `${value.constructor.name} `;
  if (depth >= MAX_DEPTH) return `${name}[…]`;
  const shown = Array.from(value.slice?.(0, MAX_ITEMS) ?? [], inner);
  const more = value.length - shown.length;
  if (more > 0) shown.push(`… ${more} more`);
  return shown.length ? `${name}[ ${shown.join(", ")} ]` : `${name}[]`;
}

function shortened(items) {
  if (items.length <= MAX_ITEMS) return items;
  return [...items.slice(0, MAX_ITEMS), `… ${items.length - MAX_ITEMS} more`];
}
