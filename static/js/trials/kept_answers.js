/**
 * Unsent answers on this device, so that they survive a reload, and a browser that is killed.
 *
 * Each is written to two places. IndexedDB has it on the disk after a few milliseconds; localStorage, which browsers
 * write to the disk when it suits them, has it at once, and where IndexedDB is blocked, full or hanging. Where neither
 * works nothing is kept and nothing breaks: the outbox has every answer in memory anyway.
 *
 * One entry per answer: two tabs of the same assignment do not overwrite each other's.
 */
import { AnswerDatabase } from './answer_database.js';

/** @typedef {import('./api.js').Judgment} Judgment */

export function keptAnswers(/** @type {string} */ token) {
  const prefix = `lookalike.answer.${token}.`;
  const database = new AnswerDatabase(token);
  return {
    /**
     * Have `found` called with the answers of each place, in the order in which the trials were dealt: of the first
     * before this returns, of the second when it resolves, which may be never.
     *
     * @param {(judgments: Judgment[]) => void} found
     */
    async read(found) {
      found(inOrder(inLocalStorage(prefix)));
      found(inOrder(await database.all().catch(() => [])));
    },
    keep(/** @type {Judgment} */ judgment) {
      attempt(() => localStorage.setItem(prefix + judgment.trial, JSON.stringify(judgment)));
      database.put(judgment).catch(() => {});
    },
    forget(/** @type {number} */ trial) {
      attempt(() => localStorage.removeItem(prefix + trial));
      database.remove(trial).catch(() => {});
    },
  };
}

function inLocalStorage(prefix) {
  const names = attempt(() => Object.keys(localStorage)) ?? [];
  return names
    .filter((name) => name.startsWith(prefix))
    .map((name) => attempt(() => JSON.parse(localStorage.getItem(name))));
}

/** Those that are answers, whatever else may lie there. */
function inOrder(found) {
  return found
    .filter((judgment) => Number.isInteger(judgment?.trial) && Array.isArray(judgment.answers))
    .sort((a, b) => a.trial - b.trial);
}

function attempt(action) {
  try {
    return action();
  } catch {
    return undefined;
  }
}
