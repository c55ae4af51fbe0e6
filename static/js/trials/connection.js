/**
 * The way to the server: whether it is there, and patience while it is not.
 *
 * Everything that talks to the server goes through `untilAnswered`, so the page knows in one place that it cannot.
 */

const FIRST_PAUSE_MS = 500;
const LONGEST_PAUSE_MS = 15_000;

let failing = 0;
const listeners = new Set();

/** No answer, or one that says nothing about the request: worth repeating. */
export class Unreachable extends Error {
  constructor(message, { retryAfterMs = 0 } = {}) {
    super(message);
    this.retryAfterMs = retryAfterMs;
  }
}

/** Whether some request has failed and not succeeded since. */
export function isFailing() {
  return failing > 0;
}

/** Have `listener` called whenever the way to the server is lost or found. */
export function onConnectionChange(listener) {
  listeners.add(listener);
  for (const event of ['online', 'offline']) addEventListener(event, listener);
}

/**
 * What `request` resolves to, however often it has to be repeated to get there.
 *
 * @template T
 * @param {() => Promise<T>} request rejects with Unreachable if it should be repeated; anything else is final
 * @param {{tries?: number}} [options]
 * @returns {Promise<T>}
 */
export async function untilAnswered(request, { tries = Infinity } = {}) {
  let failures = 0;
  try {
    for (;;) {
      try {
        return await request();
      } catch (error) {
        if (!(error instanceof Unreachable) || failures + 1 >= tries) throw error;
        failures += 1;
        if (failures === 1) count(+1);
        await pause(Math.max(error.retryAfterMs, backoff(failures)));
      }
    }
  } finally {
    if (failures) count(-1);
  }
}

function count(change) {
  failing += change;
  for (const listener of listeners) listener();
}

/** Exponential with full jitter: after an outage the participants of a study do not all come back at once. */
function backoff(failures) {
  return (0.5 + Math.random() / 2) * Math.min(LONGEST_PAUSE_MS, FIRST_PAUSE_MS * 2 ** (failures - 1));
}

/** Wait, but no longer than until the network is back or the person looks at the page again. */
function pause(ms) {
  return new Promise((resolve) => {
    const over = new AbortController();
    const end = () => {
      clearTimeout(timer);
      over.abort();
      resolve();
    };
    const timer = setTimeout(end, ms);
    addEventListener('online', end, { signal: over.signal });
    document.addEventListener('visibilitychange', () => document.hidden || end(), { signal: over.signal });
  });
}
