// Processes by names that tell them apart.

/** Shorter pieces of an instance's id say nothing. */
const LEAST_CHARACTERS = 8;

/**
 * A name for each process: its service, its pid where it told one, and of its instance as much as it needs to be the only one.
 * @param {{service: string, instance: string | null, pid: number | null}[]} processes
 * @returns {string[]} in the same order
 */
export function processNames(processes) {
  const known = (one) => `${one.service} ${one.pid ?? ""}`;
  return processes.map((one) => {
    const others = processes.filter((other) => other !== one && known(other) === known(one)).map((other) => other.instance ?? "");
    const instance = one.pid !== null && others.length === 0 ? "" : shortest(one.instance ?? "", others);
    return [one.service, one.pid, instance].filter(Boolean).join(" ");
  });
}

/** The shortest beginning of `text` with which none of `others` begins. */
function shortest(text, others) {
  let length = LEAST_CHARACTERS;
  while (length < text.length && others.some((other) => other.startsWith(text.slice(0, length)))) length += 1;
  return text.slice(0, length);
}
