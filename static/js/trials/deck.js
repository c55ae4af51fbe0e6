/**
 * The trials still to come, the next ones loaded ahead.
 *
 * A trial that cannot be loaded or was interrupted is replaced in the background, by itself with new addresses at the
 * end, or by nothing.
 */

const AHEAD = 3;

/**
 * @typedef {import('./api.js').Trial} Trial
 * @typedef {{trial: Trial, ready?: Promise<object | null>}} Card
 * @typedef {{reason: string, timing?: object}} Attempt
 */

export class Deck {
  /** @type {Card[]} */
  #cards;
  /** @type {Map<Promise<void>, Trial>} what is to be replaced */
  #replacements = new Map();
  #load;
  #replace;

  /**
   * @param {Trial[]} trials
   * @param {object} parts
   * @param {(trial: Trial) => Promise<object>} parts.load what showing the trial takes
   * @param {(trial: Trial, attempt: Attempt) => Promise<Trial | null>} parts.replace called when an attempt came to nothing
   */
  constructor(trials, { load, replace }) {
    this.#cards = trials.map((trial) => ({ trial }));
    this.#load = load;
    this.#replace = replace;
  }

  /** How many trials are still to be taken. */
  get remaining() {
    return this.#cards.length + this.#replacements.size;
  }

  /** How many of them are practice. */
  get remainingPractice() {
    const trials = [...this.#cards.map(({ trial }) => trial), ...this.#replacements.values()];
    return trials.filter((trial) => trial.practice).length;
  }

  /**
   * Take the next trial with what showing it takes; null when there is none. The next three are loaded meanwhile.
   *
   * @returns {Promise<{trial: Trial, stimulus: object} | null>}
   */
  async next() {
    while (this.remaining) {
      this.#loadAhead();
      const [card] = this.#cards;
      const stimulus = card ? await card.ready : await Promise.race(this.#replacements.keys());
      if (!stimulus) continue;
      this.#cards.shift();
      this.#loadAhead();
      return { trial: card.trial, stimulus };
    }
    return null;
  }

  #loadAhead() {
    for (const card of this.#cards.slice(0, AHEAD)) {
      card.ready ??= this.#load(card.trial).catch(() => this.#takeOut(card));
    }
  }

  #takeOut(card) {
    this.#cards = this.#cards.filter((other) => other !== card);
    this.putOff(card.trial, { reason: 'decode' });
    return null;
  }

  /** Have the trial come again; when its replacement comes is not waited for. A failed one fails `next` once all else is done. */
  putOff(/** @type {Trial} */ trial, /** @type {Attempt} */ attempt) {
    const replacement = this.#replace(trial, attempt).then((again) => {
      this.#replacements.delete(replacement);
      if (again) this.#cards.push({ trial: again });
    });
    replacement.catch(() => {});
    this.#replacements.set(replacement, trial);
  }
}
