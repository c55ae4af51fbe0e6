/**
 * One sitting: the trials one after the other, then the completion code.
 */
import { Refused } from './api.js';
import { untilAnswered } from './connection.js';
import { Deck } from './deck.js';
import { showFeedback } from './feedback.js';
import { kinds } from './kinds.js';
import { showProgress } from './progress.js';

/**
 * @param {object} parts
 * @param {ReturnType<typeof import('./api.js').assignmentApi>} parts.api
 * @param {import('./outbox.js').Outbox} parts.outbox
 * @param {AbortSignal} parts.signal ends the sitting early; the promise then never resolves
 * @param {() => void} parts.onAnswered called when there is nothing left to answer
 * @returns {Promise<{completion_code: string, redirect: string | null}>}
 */
export async function sit({ api, outbox, signal, onAnswered }) {
  let answered = outbox.trials;
  for (;;) {
    const { assignment, trials } = await untilAnswered(api.trials);
    const open = trials.filter((trial) => !answered.has(trial.id));
    const deck = new Deck(open, {
      load: (trial) => kinds[trial.kind].load(trial),
      replace: (trial) => putOff(api, trial),
    });
    await judgeAll(deck, { total: assignment.total, outbox, signal });
    onAnswered();
    await outbox.drained();
    try {
      return await untilAnswered(api.complete);
    } catch (error) {
      // Another tab has put a trial off: it is open again. Nothing open, and still not complete, is not for us to mend.
      if (error.status !== 409 || !(trials.length || answered.size)) throw error;
    }
    answered = new Set();
  }
}

async function judgeAll(deck, { total, outbox, signal }) {
  for (let next = await deck.next(); next; next = await deck.next()) {
    const { trial, stimulus } = next;
    const kind = kinds[trial.kind];
    showProgress({ number: total - deck.remaining, total, isPractice: trial.practice === true });
    const answer = await kind.show(stimulus, signal);
    const stored = outbox.add({ trial: trial.id, ...answer });
    if (trial.practice) {
      const feedback = await stored;
      if (feedback) await showFeedback(kind.reveal(feedback));
    }
    kind.clear();
  }
}

/** A trial that cannot be shown comes again at the end with new addresses, or after three attempts never (null). */
async function putOff(api, trial) {
  const aborted = { trial: trial.id, attempt: trial.attempt, reason: 'decode' };
  try {
    return (await untilAnswered(() => api.abort(aborted))).trial;
  } catch (error) {
    // Another tab has answered it.
    if (error instanceof Refused && error.status === 409) return null;
    throw error;
  }
}
