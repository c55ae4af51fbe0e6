/**
 * Unsent answers in localStorage, so that they survive a reload.
 *
 * One entry per answer: two tabs of the same assignment do not overwrite each other's. Where localStorage is blocked or
 * full nothing is kept and nothing breaks: the outbox has every answer in memory anyway.
 */
export function keptAnswers(token) {
  const prefix = `lookalike.answer.${token}.`;
  return {
    /** @returns {import('./api.js').Judgment[]} in the order in which the trials were dealt */
    all() {
      const names = attempt(() => Object.keys(localStorage)) ?? [];
      return names
        .filter((name) => name.startsWith(prefix))
        .map((name) => attempt(() => JSON.parse(localStorage.getItem(name))))
        .filter((judgment) => Number.isInteger(judgment?.trial) && Array.isArray(judgment.answers))
        .sort((a, b) => a.trial - b.trial);
    },
    keep(/** @type {import('./api.js').Judgment} */ judgment) {
      attempt(() => localStorage.setItem(prefix + judgment.trial, JSON.stringify(judgment)));
    },
    forget(/** @type {number} */ trial) {
      attempt(() => localStorage.removeItem(prefix + trial));
    },
  };
}

function attempt(action) {
  try {
    return action();
  } catch {
    return undefined;
  }
}
