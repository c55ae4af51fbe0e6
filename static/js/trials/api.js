/**
 * The participant's HTTP contract as functions.
 *
 * @typedef {{id: number, kind: string, attempt: number, practice?: true}} AnyTrial
 * @typedef {AnyTrial & {images: Record<string, string>, prompt?: string}} TwoAfcTrial
 * @typedef {AnyTrial & {flashes: string[], pairs: [number, number][], questions: string[]}} JndTrial
 * @typedef {TwoAfcTrial | JndTrial} Trial
 * @typedef {{scale: number, stimulus_ms: number, gap_ms: number}} Presentation
 * @typedef {{answers: string[], input: string, rt_ms: number, timing: object}} Answer
 * @typedef {Answer & {trial: number}} Judgment
 * @typedef {{trial: number, correct: boolean, expected: string | string[]}} Feedback the side, or an answer per question
 * @typedef {{kind: 'redirect' | 'form' | 'thanks', url: string | null, fields: Record<string, string>}} Ending
 * @typedef {{completion_code: string, redirect: string | null, ending: Ending}} Completed
 * @typedef {{accepted: number[], position: number, total: number, feedback: Feedback[]}} Receipt
 */
import { Unreachable } from './connection.js';

/** Longer than any healthy answer; a request that hangs is given up and repeated. */
const TIMEOUT_MS = 20_000;
const MAY_PASS = [408, 425, 429];

/** The server has understood and says no; `problem` is its RFC 9457 document. */
export class Refused extends Error {
  constructor(status, problem) {
    super(problem.detail ?? `The server answered ${status}.`);
    this.status = status;
    this.problem = problem;
  }
}

/** The calls of one assignment. Each rejects with Unreachable or Refused. */
export function assignmentApi(token) {
  const at = (path) => `/assignments/${token}/${path}`;
  return {
    /** @returns {Promise<{assignment: {total: number}, presentation: Presentation, trials: Trial[]}>} */
    trials: () => json(at('trials')),
    /** @returns {Promise<Receipt>} */
    judge: (/** @type {Judgment[]} */ judgments) => json(at('judgments'), { judgments }),
    /** @returns {Promise<{trial: Trial | null}>} */
    abort: (/** @type {{trial: number, attempt: number, reason: string, timing?: object}} */ attempt) =>
      json(at('aborts'), attempt),
    environment: (/** @type {object} */ measured) => answer(at('environment'), post(measured)),
    /** @returns {Promise<{passed: boolean, tries_left: number, wrong: number[]}>} */
    check: (/** @type {string[]} */ answers) => json(at('check'), { answers }),
    withdraw: () => answer(at('withdraw'), post({})),
    /** @returns {Promise<Completed>} */
    complete: () => json(at('complete'), {}),
  };
}

/**
 * The bytes of an image, as many as the server has announced.
 *
 * @param {string} address
 * @param {RequestCache} [cache] `reload`: from the server, whatever the browser has kept
 */
export async function imageBytes(address, cache = 'default') {
  const response = await answer(address, { cache });
  const bytes = await body(response, 'blob');
  const announced = response.headers.get('Content-Length');
  const isEncoded = response.headers.has('Content-Encoding');
  if (announced !== null && !isEncoded && Number(announced) !== bytes.size) throw new Unreachable('The image broke off.');
  return bytes;
}

async function json(address, given) {
  return body(await answer(address, given ? post(given) : {}), 'json');
}

function post(given) {
  return { method: 'POST', body: JSON.stringify(given), headers: { 'Content-Type': 'application/json' } };
}

async function answer(address, options) {
  const headers = { Accept: 'application/json, image/*', ...options.headers };
  let response;
  try {
    response = await fetch(address, { ...options, headers, signal: deadline() });
  } catch {
    throw new Unreachable('The request did not get through.');
  }
  if (response.ok) return response;
  if (response.status >= 500 || MAY_PASS.includes(response.status)) {
    const seconds = Number(response.headers.get('Retry-After')) || 0;
    throw new Unreachable(`The server answered ${response.status}.`, { retryAfterMs: 1000 * seconds });
  }
  throw new Refused(response.status, await response.json().catch(() => ({})));
}

/** Ends what is still under way by then, body included. (AbortSignal.timeout is younger than the browsers we serve.) */
function deadline() {
  const controller = new AbortController();
  setTimeout(() => controller.abort(), TIMEOUT_MS);
  return controller.signal;
}

/** A body can break off on its way, and what answers in the place of our server may send anything. */
async function body(response, kind) {
  try {
    return await response[kind]();
  } catch {
    throw new Unreachable('The answer broke off.');
  }
}
