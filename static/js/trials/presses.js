/**
 * One press, one answer: by keyboard, mouse, touch or assistive technology.
 *
 * A press is timed when it begins (keydown, pointerdown), so that response times compare across devices. It counts only
 * if it begins once answering is possible: the second of two keys, the second tap of a double tap or a held key never
 * answers the trial that comes after.
 */

import { firstFrameAfter } from './frames.js';

/**
 * What begins sooner after something appears is no response to it but the tail of the last one: a second key, a double
 * tap. (The BAPPS page held its buttons back for the same 100 ms.)
 */
const TOO_EARLY_MS = 100;

let pointerDown = { timeStamp: -Infinity, pointerType: '' };
addEventListener('pointerdown', (event) => (pointerDown = event), { capture: true });

/**
 * @typedef {{value: string, button: HTMLElement, keys: string[]}} Choice `keys` are values of event.key and event.code
 * @typedef {{value: string, input: string, time: number}} Press
 */

/**
 * The answer to what has appeared at `onset`.
 *
 * @param {number} onset the time stamp of the frame that first shows it
 * @param {Choice[]} choices
 * @param {AbortSignal} signal ends the waiting without an answer
 * @returns {Promise<Press & {answerable: number}>} `answerable` is the first frame from which on a press counts
 */
export async function answerTo(onset, choices, signal) {
  let answerable = Infinity;
  const pressed = onePress(choices, { isPossible: (time) => time >= answerable, signal });
  answerable = await firstFrameAfter(onset + TOO_EARLY_MS);
  return { ...(await pressed), answerable };
}

/**
 * @param {Choice[]} choices
 * @param {object} options
 * @param {(time: number) => boolean} options.isPossible whether a press that began then can be an answer
 * @param {AbortSignal} options.signal ends the waiting without an answer
 * @returns {Promise<Press>}
 */
function onePress(choices, { isPossible, signal }) {
  return new Promise((resolve) => {
    if (signal.aborted) return;
    const over = new AbortController();
    const listen = { signal: over.signal };
    signal.addEventListener('abort', () => over.abort(), listen);
    const press = (value, input, time) => {
      if (over.signal.aborted || !isPossible(time)) return;
      over.abort();
      resolve({ value, input, time });
    };
    addEventListener('keydown', (event) => onKeyDown(event, choices, press), listen);
    addEventListener('keyup', (event) => onKeyUp(event, choices), listen);
    for (const { value, button } of choices) {
      // A pointer leaves no focus behind, whose ring would mark one choice in the trials that follow.
      button.addEventListener('mousedown', (event) => event.preventDefault(), listen);
      button.addEventListener('click', (event) => onClick(event, value, press), listen);
    }
  });
}

function onKeyDown(event, choices, press) {
  if (event.ctrlKey || event.altKey || event.metaKey || document.querySelector('dialog[open]')) return;
  const choice = choices.find(({ keys, button }) => isOneOf(keys, event) || isActivationOf(button, event));
  if (!choice) return;
  event.preventDefault();
  if (!event.repeat) press(choice.value, event.key === ' ' ? 'Space' : event.key, event.timeStamp);
}

/** By its letter, or by its place where the layout has no such letter. */
function isOneOf(keys, event) {
  return keys.includes(event.key) || keys.includes(event.code);
}

function isActivationOf(button, event) {
  return event.target === button && (event.key === 'Enter' || event.key === ' ');
}

/** Space answered when it went down: on its way up it must not click the button, which shows the next trial by now. */
function onKeyUp(event, choices) {
  if (choices.some(({ button }) => isActivationOf(button, event))) event.preventDefault();
}

function onClick(event, value, press) {
  // Without a pointer it is assistive technology that clicks.
  if (event.detail === 0) press(value, 'click', event.timeStamp);
  else press(value, pointerDown.pointerType, pointerDown.timeStamp);
}
