/**
 * Answers on their way to the server: sent in order, each until it is stored, while the person goes on.
 */
import { Refused } from './api.js';
import { untilAnswered } from './connection.js';

const LARGEST_BATCH = 100;

/** So long a page waits for what earlier visits have kept; what is found later is sent all the same. */
const READING_MS = 3000;

export class Outbox {
  /** @type {Map<number, import('./api.js').Judgment>} */
  #unsent = new Map();
  /** @type {Map<number, (feedback: import('./api.js').Feedback | null) => void>} */
  #told = new Map();
  /** @type {(() => void)[]} */
  #untilDrained = [];
  #isSending = false;
  #kept;
  #judge;
  #onChange;
  #onRefusal;

  /**
   * @param {object} parts
   * @param {ReturnType<typeof import('./kept_answers.js').keptAnswers>} parts.kept
   * @param {(judgments: import('./api.js').Judgment[]) => Promise<import('./api.js').Receipt>} parts.judge
   * @param {() => void} parts.onChange called when `size` has changed
   * @param {(error: Error) => void} parts.onRefusal called when the server will never take what is left
   */
  constructor({ kept, judge, onChange, onRefusal }) {
    this.#kept = kept;
    this.#judge = judge;
    this.#onChange = onChange;
    this.#onRefusal = onRefusal;
  }

  /** Go on with what earlier visits left unsent. Resolves once it is known, or takes too long. */
  async restore() {
    const read = this.#kept.read((judgments) => {
      // What was answered again meanwhile stays as it is.
      for (const judgment of judgments) {
        if (!this.#unsent.has(judgment.trial)) this.#unsent.set(judgment.trial, judgment);
      }
      this.#onChange();
      this.#send();
    });
    await Promise.race([read, new Promise((resolve) => setTimeout(resolve, READING_MS))]);
  }

  get size() {
    return this.#unsent.size;
  }

  /** The trials whose answers are not sent yet. */
  get trials() {
    return new Set(this.#unsent.keys());
  }

  /**
   * Send an answer. Nobody has to wait for the promise: it resolves to the feedback on it, or to null if there is none.
   *
   * @param {import('./api.js').Judgment} judgment
   * @returns {Promise<import('./api.js').Feedback | null>}
   */
  add(judgment) {
    this.#unsent.set(judgment.trial, judgment);
    this.#kept.keep(judgment);
    this.#onChange();
    const told = new Promise((resolve) => this.#told.set(judgment.trial, resolve));
    this.#send();
    return told;
  }

  /** Resolves when nothing is left to send. */
  async drained() {
    if (this.size) await new Promise((resolve) => this.#untilDrained.push(() => resolve(null)));
  }

  /** Give up everything that is left: nobody wants it any more. */
  discard() {
    for (const trial of [...this.#unsent.keys()]) this.#settle(trial, null);
  }

  async #send() {
    if (this.#isSending) return;
    this.#isSending = true;
    try {
      while (this.size) await this.#sendBatch([...this.#unsent.values()].slice(0, LARGEST_BATCH));
    } catch (error) {
      this.discard();
      this.#onRefusal(error);
    } finally {
      this.#isSending = false;
    }
  }

  async #sendBatch(batch) {
    try {
      const { accepted, feedback } = await untilAnswered(() => this.#judge(batch));
      for (const trial of accepted) this.#settle(trial, feedback.find((told) => told.trial === trial) ?? null);
    } catch (error) {
      const lost = new Set(error instanceof Refused ? neverStored(error) : []);
      const trials = batch.map((judgment) => judgment.trial).filter((trial) => lost.has(trial));
      if (!trials.length) throw error;
      for (const trial of trials) this.#settle(trial, null);
    }
  }

  #settle(trial, feedback) {
    this.#unsent.delete(trial);
    this.#kept.forget(trial);
    this.#told.get(trial)?.(feedback);
    this.#told.delete(trial);
    if (!this.size) for (const resolve of this.#untilDrained.splice(0)) resolve();
    this.#onChange();
  }
}

/** The trials that make a request fail whole: another tab has answered them differently, or has had them skipped. */
function neverStored({ status, problem }) {
  return (status === 409 && problem.conflicts) || (status === 422 && problem.unknown) || [];
}
