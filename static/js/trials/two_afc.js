/**
 * The 2AFC trial: a reference and two candidates, until the person presses the more similar one.
 */
import { watchForDisturbances } from './disturbances.js';
import { nextFrame } from './frames.js';
import { decodedImage } from './images.js';
import { answerTo } from './presses.js';

const view = document.getElementById('two-afc');
const find = (selector) => /** @type {HTMLElement} */ (view.querySelector(selector));
const question = document.getElementById('question');
const usualQuestion = question.textContent;
const triplet = find('.triplet');
const places = { reference: find('.reference'), left: find('button.left'), right: find('button.right') };
const choices = [
  { value: 'left', button: places.left, keys: ['ArrowLeft', 'f', 'F', 'KeyF'] },
  { value: 'right', button: places.right, keys: ['ArrowRight', 'j', 'J', 'KeyJ'] },
];

/** @typedef {Record<'reference' | 'left' | 'right', HTMLImageElement>} Triplet */

/**
 * @param {import('./api.js').TwoAfcTrial} trial
 * @returns {Promise<{images: Triplet, prompt?: string}>} all of its images, decoded
 */
export async function load(trial) {
  const [reference, left, right] = await Promise.all(
    ['reference', 'left', 'right'].map((name) => decodedImage(trial.images[name])),
  );
  reference.alt = 'Reference image';
  // The buttons around them carry their names.
  left.alt = right.alt = '';
  return { images: { reference, left, right }, prompt: trial.prompt };
}

/**
 * Show the images from the next frame on, all of them in one, until they are answered.
 *
 * @param {{images: Triplet, prompt?: string}} stimulus
 * @param {AbortSignal} signal ends the trial without an answer
 * @returns {Promise<import('./api.js').Answer>}
 */
export async function show({ images, prompt }, signal) {
  const disturbances = watchForDisturbances();
  const onset = await nextFrame();
  question.textContent = prompt ?? usualQuestion;
  paint(images);
  const { value, input, time, answerable } = await answerTo(onset, choices, signal);
  disturbances.stop();
  return {
    answers: [value],
    input,
    rt_ms: time - answerable,
    timing: {
      onset_ms: onset,
      answerable_ms: answerable,
      answered_ms: time,
      // The person has looked away meanwhile, which makes a response time meaningless.
      hidden: disturbances.flags.has('hidden'),
      viewport: [innerWidth, innerHeight],
      device_pixel_ratio: devicePixelRatio,
      image: [images.left.naturalWidth, images.left.naturalHeight],
      shown: [images.left.clientWidth, images.left.clientHeight],
    },
  };
}

/** Take the images away; the next frame shows none unless another trial is shown before it. */
export function clear() {
  view.classList.add('is-blank');
  delete triplet.dataset.expected;
}

/**
 * Point out the answer that a practice trial expected.
 *
 * @param {import('./api.js').Feedback} feedback
 * @returns {string} what to tell the person
 */
export function reveal({ correct, expected }) {
  triplet.dataset.expected = expected;
  return correct ? 'That is right.' : `Not quite: the ${expected} image is the more similar one.`;
}

function paint(images) {
  for (const [name, place] of Object.entries(places)) place.replaceChildren(images[name]);
  triplet.style.setProperty('--aspect', String(images.left.naturalWidth / images.left.naturalHeight));
  view.classList.remove('is-blank');
}
