/** A quiet word when answers cannot be sent, so that nobody worries about them. */
import { isFailing, onConnectionChange } from './connection.js';

const SLOW_MS = 2000;
const element = document.getElementById('notice');

/**
 * Keep the notice true.
 *
 * @param {() => number} unsent how many answers are still to be sent
 * @returns {() => void} to be called when that has changed
 */
export function keepNotice(unsent) {
  let slow;
  const update = () => {
    clearTimeout(slow);
    const text = wording(unsent());
    if (element.textContent !== text) element.textContent = text;
    if (!text && unsent()) slow = setTimeout(() => (element.textContent = 'Saving…'), SLOW_MS);
  };
  onConnectionChange(update);
  return update;
}

function wording(unsent) {
  if (navigator.onLine && !isFailing()) return '';
  const where = navigator.onLine ? 'The server cannot be reached' : 'You are offline';
  return unsent ? `${where}: your answers are kept and will be sent.` : `${where}. This page tries again by itself.`;
}
