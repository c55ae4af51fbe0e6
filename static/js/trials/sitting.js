/**
 * One sitting: the trials one after the other, then the completion code.
 */
import { Refused } from './api.js';
import { untilAnswered } from './connection.js';
import { Deck } from './deck.js';
import { showFeedback } from './feedback.js';
import { pause } from './pause.js';
import { showProgress } from './progress.js';

const INTERRUPTIONS = {
  hidden: 'This page was out of sight while the images were shown.',
  covered: 'Something covered the images while they were shown.',
  resize: 'The window or its zoom changed while the images were shown.',
};

/**
 * The sitting from where it stands.
 *
 * @param {object} parts
 * @param {Awaited<ReturnType<typeof import('./kinds.js').loadKind>>} parts.kind
 * @param {ReturnType<typeof import('./api.js').assignmentApi>} parts.api
 * @param {import('./outbox.js').Outbox} parts.outbox
 * @param {import('./breaks.js').Breaks} parts.breaks
 * @param {number} parts.practice how many of all its trials are practice
 * @param {AbortSignal} parts.signal ends the sitting early; the promise then never resolves
 * @param {() => void} parts.onAnswered called when there is nothing left to answer
 * @returns {Promise<import('./api.js').Completed>}
 */
export async function sit({ kind, api, outbox, breaks, practice, signal, onAnswered }) {
  let answered = outbox.trials;
  for (;;) {
    const { assignment, presentation, trials } = await untilAnswered(api.trials);
    const open = trials.filter((trial) => !answered.has(trial.id));
    const deck = new Deck(open, {
      load: (trial) => kind.load(trial, presentation),
      replace: (trial, attempt) => putOff(api, trial, attempt),
    });
    const counts = { practice, total: assignment.total };
    await judgeAll(deck, { kind, counts, outbox, breaks, signal });
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

async function judgeAll(deck, { kind, counts, outbox, breaks, signal }) {
  for (let next = await deck.next(); next; next = await deck.next()) {
    const { trial, stimulus } = next;
    const place = placeOf(trial, deck, counts);
    if (!place.isPractice) await breaks.before(place.number, place.of);
    showProgress({ ...place, done: counts.total - deck.remaining - 1, total: counts.total });
    const { interrupted, ...answer } = await kind.show(stimulus, signal);
    if (interrupted) {
      kind.clear();
      deck.putOff(trial, { reason: interrupted === 'resize' ? 'resize' : 'hidden', timing: answer.timing });
      await pause({ title: 'Interrupted', text: `${INTERRUPTIONS[interrupted]} No harm done: they come again later.` });
      continue;
    }
    const stored = outbox.add({ trial: trial.id, ...answer });
    if (trial.practice) {
      const feedback = await stored;
      if (feedback) await showFeedback(kind.reveal(feedback));
    }
    kind.clear();
  }
}

/** Where the trial just taken stands: among the practice, or among the others. */
function placeOf(trial, deck, { total, practice }) {
  if (trial.practice) return { isPractice: true, number: practice - deck.remainingPractice, of: practice };
  const of = total - practice;
  return { isPractice: false, number: of - (deck.remaining - deck.remainingPractice), of };
}

/** A trial that came to no answer comes again at the end with new addresses, or after three attempts never (null). */
async function putOff(api, trial, { reason, timing }) {
  const aborted = { trial: trial.id, attempt: trial.attempt, reason, timing };
  try {
    return (await untilAnswered(() => api.abort(aborted))).trial;
  } catch (error) {
    // Another tab has answered it.
    if (error instanceof Refused && error.status === 409) return null;
    throw error;
  }
}
