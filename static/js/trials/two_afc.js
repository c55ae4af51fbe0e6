/**
 * The 2AFC trial: a reference and two candidates, until the person presses the more similar one.
 */
import { nextFrame } from './frames.js';
import { decodedImage } from './images.js';
import { onePress } from './presses.js';

/**
 * What begins sooner after the images appear is no response to them but the tail of the last one: a second key, a
 * double tap. (The BAPPS page held its buttons back for the same 100 ms.)
 */
const TOO_EARLY_MS = 100;

const view = document.getElementById('two-afc');
const find = (selector) => /** @type {HTMLElement} */ (view.querySelector(selector));
const triplet = find('.triplet');
const places = { reference: find('.reference'), left: find('button.left'), right: find('button.right') };
const choices = [
  { value: 'left', button: places.left, keys: ['ArrowLeft', 'f', 'F', 'KeyF'] },
  { value: 'right', button: places.right, keys: ['ArrowRight', 'j', 'J', 'KeyJ'] },
];

/** @typedef {Record<'reference' | 'left' | 'right', HTMLImageElement>} Triplet */

/**
 * @param {import('./api.js').Trial} trial
 * @returns {Promise<Triplet>} all of its images, decoded
 */
export async function load(trial) {
  const [reference, left, right] = await Promise.all(
    ['reference', 'left', 'right'].map((name) => decodedImage(trial.images[name])),
  );
  reference.alt = 'Reference image';
  // The buttons around them carry their names.
  left.alt = right.alt = '';
  return { reference, left, right };
}

/**
 * Show the images from the next frame on, all of them in one, until they are answered.
 *
 * @param {Triplet} images
 * @param {AbortSignal} signal ends the trial without an answer
 * @returns {Promise<import('./api.js').Answer>}
 */
export async function show(images, signal) {
  const hidden = watchForHiding();
  const onset = await nextFrame();
  paint(images);
  let answerable = Infinity;
  const pressed = onePress(choices, { isPossible: (time) => time >= answerable, signal });
  answerable = await firstFrameAfter(onset + TOO_EARLY_MS);
  const { value, input, time } = await pressed;
  return {
    answers: [value],
    input,
    rt_ms: time - answerable,
    timing: {
      onset_ms: onset,
      answerable_ms: answerable,
      answered_ms: time,
      hidden: hidden.stop(),
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

async function firstFrameAfter(time) {
  for (;;) {
    const frame = await nextFrame();
    if (frame >= time) return frame;
  }
}

/** Whether the person has looked away meanwhile, which makes a response time meaningless. */
function watchForHiding() {
  let wasHidden = document.hidden;
  const note = () => {
    wasHidden = true;
  };
  document.addEventListener('visibilitychange', note);
  return {
    stop() {
      document.removeEventListener('visibilitychange', note);
      return wasHidden;
    },
  };
}
