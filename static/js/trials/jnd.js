/**
 * The JND trial: images flash one after the other; then, pair by pair, were they the same or different?
 */
import { obstacles } from '../screening.js';
import { watchForDisturbances } from './disturbances.js';
import { FlashSchedule } from './flash_schedule.js';
import { frameInterval, nextFrame } from './frames.js';
import { decodedImage } from './images.js';
import { pause, pauseWhile } from './pause.js';
import { answerTo } from './presses.js';

/** The eyes need about 200 ms to get to the middle, and some time there before the first image. */
const FIXATION_MS = 700;

const view = document.getElementById('jnd');
const find = (selector) => /** @type {HTMLElement} */ (view.querySelector(selector));
const question = document.getElementById('question');
const places = { flashes: find('.flashes'), fixation: find('.fixation'), sequence: find('.sequence'), ask: find('.ask') };
const choices = [
  { value: 'same', button: find('button.same'), keys: ['s', 'S', 'KeyS', 'ArrowLeft'] },
  { value: 'different', button: find('button.different'), keys: ['d', 'D', 'KeyD', 'ArrowRight'] },
];

/** Measured once, while the first images load and the person reads; each trial says which interval it reckoned with. */
const measured = frameInterval();
let isReady = false;
/** @type {import('./api.js').JndTrial} */
let current;

/**
 * @typedef {{trial: import('./api.js').JndTrial, images: HTMLImageElement[],
 *            presentation: import('./api.js').Presentation}} Stimulus
 *
 * @param {import('./api.js').JndTrial} trial
 * @param {import('./api.js').Presentation} presentation
 * @returns {Promise<Stimulus>} all of its images, decoded
 */
export async function load(trial, presentation) {
  const images = await Promise.all(trial.flashes.map(decodedImage));
  for (const image of images) {
    image.alt = ''; // described by the view: a flash is over before it could be read out
    image.style.inlineSize = `${image.naturalWidth * presentation.scale}px`;
  }
  return { trial, images, presentation };
}

/**
 * Flash the images, then ask.
 *
 * @param {Stimulus} stimulus
 * @param {AbortSignal} signal ends the trial without an answer
 * @returns {Promise<import('./api.js').Answer | {interrupted: string, timing: object}>} `rt_ms` is that of the first
 *   question; the timing has each one's
 */
export async function show({ trial, images, presentation }, signal) {
  current = trial;
  await untilReady(images.length);
  await pauseWhile(() => whatHindersShowing(images, presentation), { title: 'This window is too small' });
  const frame = await measured;
  const schedule = new FlashSchedule(sequence(images.length, presentation), frame);
  const disturbances = watchForDisturbances();
  places.flashes.replaceChildren(...images);
  const interrupted = await run(schedule, layers(images), disturbances.interrupted);
  const timing = {
    flags: [...schedule.flags, ...disturbances.flags],
    hidden: disturbances.flags.has('hidden'),
    frame_interval_ms: frame,
    intervals: schedule.shown,
    viewport: [innerWidth, innerHeight],
    device_pixel_ratio: devicePixelRatio,
    scale: presentation.scale,
    image: [images[0].naturalWidth, images[0].naturalHeight],
    shown: [images[0].clientWidth, images[0].clientHeight],
  };
  if (interrupted) {
    disturbances.stop();
    return { interrupted, timing };
  }
  const answered = [];
  for (const number of trial.questions.keys()) answered.push(await ask(number, signal));
  disturbances.stop();
  const [{ input, rt_ms }] = answered;
  return {
    answers: answered.map(({ value }) => value),
    input,
    rt_ms,
    timing: {
      ...timing,
      // Looking away before the answer: what was flashed was seen, but the response time means nothing.
      hidden: disturbances.flags.has('hidden'),
      questions: answered.map(({ value, ...times }) => times),
    },
  };
}

/** Take everything away. */
export function clear() {
  view.classList.remove('is-asking');
  places.flashes.replaceChildren();
}

/**
 * @param {import('./api.js').Feedback} feedback
 * @returns {string} what to tell the person
 */
export function reveal({ correct, expected }) {
  if (correct) return 'That is right.';
  const were = expected.map((answer) => (answer === 'same' ? 'were the same' : 'were different'));
  if (were.length === 1) return `Not quite: the two images ${were[0]}.`;
  const told = current.pairs.map(([a, b], number) => `the ${ordinal(a)} and the ${ordinal(b)} image ${were[number]}`);
  return `Not quite: ${told.join(', ')}.`;
}

/** Nobody is flashed at by surprise: not after the page has loaded, nor while it is out of sight. */
async function untilReady(count) {
  if (isReady && !document.hidden) return;
  await pause({
    title: 'Ready?',
    text: `Look at the cross in the middle: ${count} images follow in its place, each for a moment only.`,
    label: 'Start',
  });
  isReady = true;
}

/** An image is shown at its own size times the scale, or not at all: never smaller than its study wants it. */
function whatHindersShowing(images, { scale }) {
  const width = scale * Math.max(...images.map((image) => image.naturalWidth));
  const height = scale * Math.max(...images.map((image) => image.naturalHeight));
  const { minWidth, minHeight } = document.getElementById('stage').dataset;
  const demands = {
    minWidth: Math.max(Number(minWidth), Math.ceil(width + innerWidth - view.clientWidth)),
    minHeight: Math.max(Number(minHeight), Math.ceil(height + innerHeight - view.clientHeight)),
  };
  return obstacles({ width: innerWidth, height: innerHeight }, demands).join(' ');
}

function sequence(count, { stimulus_ms: stimulus, gap_ms: gap }) {
  const image = { shows: 'image', requested_ms: stimulus };
  const blank = { shows: 'blank', requested_ms: gap };
  const flashes = Array.from({ length: count }, (_, place) => (place ? [blank, image] : [image]));
  return [{ shows: 'fixation', requested_ms: FIXATION_MS }, ...flashes.flat()];
}

/** What each interval of the sequence shows; a blank shows nothing. */
function layers(images) {
  return [places.fixation, ...images.flatMap((image, place) => (place ? [null, image] : [image]))];
}

/**
 * Show every layer for its interval. Resolves after the first frame that comes when all are gone, or when interrupted.
 *
 * @param {FlashSchedule} schedule
 * @param {(HTMLElement | null)[]} layers
 * @param {Promise<string>} interrupted
 * @returns {Promise<string | null>} what has interrupted it
 */
function run(schedule, layers, interrupted) {
  let visible = null;
  const show = (layer) => {
    if (layer === visible) return;
    visible?.classList.remove('is-on');
    layer?.classList.add('is-on');
    visible = layer;
  };
  view.classList.add('is-running');
  return new Promise((resolve) => {
    let isOver = false;
    const end = (reason) => {
      isOver = true;
      show(null);
      view.classList.remove('is-running');
      resolve(reason);
    };
    const onFrame = (now) => {
      if (isOver) return;
      show(layers[schedule.at(now)] ?? null);
      if (schedule.isOver) end(null);
      else requestAnimationFrame(onFrame);
    };
    interrupted.then((reason) => isOver || end(reason));
    requestAnimationFrame(onFrame);
  });
}

/** Ask from the next frame on. */
async function ask(number, signal) {
  const onset = await nextFrame();
  question.textContent = current.questions[number];
  drawSequence(number);
  view.classList.add('is-asking');
  const { value, input, time, answerable } = await answerTo(onset, choices, signal);
  view.classList.remove('is-asking');
  return {
    value,
    input,
    rt_ms: time - answerable,
    onset_ms: onset,
    answerable_ms: answerable,
    answered_ms: time,
  };
}

/** Of more than two images: which two the question is about, as a row of squares. */
function drawSequence(number) {
  const { flashes, pairs } = current;
  const squares = flashes.length > 2 ? flashes.map((_, place) => square(pairs[number].includes(place))) : [];
  places.sequence.replaceChildren(...squares);
}

function square(isAskedAbout) {
  const square = document.createElement('span');
  square.classList.toggle('is-asked-about', isAskedAbout);
  return square;
}

function ordinal(place) {
  return ['1st', '2nd', '3rd'][place] ?? `${place + 1}th`;
}
