/** A break every so many trials: looking closely is tiring. Nothing is being timed meanwhile. */
import { pause } from './pause.js';

export class Breaks {
  #every;
  #last = 1;

  constructor(/** @type {number} */ every) {
    this.#every = every;
  }

  /** Offer one if it is time for it: before trial `number` of `total`, once, even if that trial has to be repeated. */
  async before(number, total) {
    if (number <= this.#last || (number - 1) % this.#every) return;
    this.#last = number;
    await pause({
      title: 'Time for a break',
      text: `${number - 1} of ${total} done. Look away from the screen for a moment, and go on when you are rested. The break is not counted.`,
    });
  }
}
