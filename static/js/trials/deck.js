/**
 * The trials still to come, the next ones loaded ahead.
 *
 * A trial that cannot be loaded is replaced in the background, by itself with new addresses at the end, or by nothing.
 */

const AHEAD = 3;

/**
 * @typedef {import('./api.js').Trial} Trial
 * @typedef {{trial: Trial, ready?: Promise<object | null>}} Card
 */

export class Deck {
  /** @type {Card[]} */
  #cards;
  /** @type {Set<Promise<void>>} */
  #replacements = new Set();
  #load;
  #replace;

  /**
   * @param {Trial[]} trials
   * @param {object} parts
   * @param {(trial: Trial) => Promise<object>} parts.load what showing the trial takes
   * @param {(trial: Trial) => Promise<Trial | null>} parts.replace called when loading has failed
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

  /**
   * Take the next trial with what showing it takes; null when there is none. The next three are loaded meanwhile.
   *
   * @returns {Promise<{trial: Trial, stimulus: object} | null>}
   */
  async next() {
    while (this.remaining) {
      this.#loadAhead();
      const [card] = this.#cards;
      const stimulus = card ? await card.ready : await Promise.race(this.#replacements);
      if (!stimulus) continue;
      this.#cards.shift();
      this.#loadAhead();
      return { trial: card.trial, stimulus };
    }
    return null;
  }

  #loadAhead() {
    for (const card of this.#cards.slice(0, AHEAD)) {
      card.ready ??= this.#load(card.trial).catch(() => this.#putOff(card));
    }
  }

  /** Take the card out at once; its replacement comes when it comes. A failed one fails `next` once all else is done. */
  #putOff(card) {
    this.#cards = this.#cards.filter((other) => other !== card);
    const replacement = this.#replace(card.trial).then((trial) => {
      this.#replacements.delete(replacement);
      if (trial) this.#cards.push({ trial });
    });
    replacement.catch(() => {});
    this.#replacements.add(replacement);
    return null;
  }
}
