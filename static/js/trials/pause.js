/** A pause between two trials, over the place of the images. It ends when the person says so. */
import { untilRead } from './panels.js';

const panel = document.getElementById('pause');
const [heading, words, button] = ['h2', 'p', 'button'].map((name) => panel.querySelector(name));

/**
 * @param {object} what
 * @param {string} what.title
 * @param {string} what.text
 * @param {string} [what.label] of the button that goes on
 */
export async function pause({ title, text, label = 'Go on' }) {
  say({ title, text, label });
  await untilRead(panel);
}

/**
 * Pause for as long as there is an obstacle, and then until the person goes on; not at all if there is none.
 *
 * @param {() => string} obstacle what is in the way, or nothing; asked again whenever the window changes
 */
export async function pauseWhile(obstacle, { title }) {
  if (!obstacle()) return;
  const over = new AbortController();
  const update = () => {
    const text = obstacle();
    say({ title, text: text || 'That is enough, thank you.', label: 'Go on' });
    // Not `disabled`: the button keeps the focus, and says why it does nothing.
    button.setAttribute('aria-disabled', String(text !== ''));
  };
  addEventListener('resize', update, { signal: over.signal });
  update();
  do await untilRead(panel);
  while (obstacle());
  over.abort();
  button.removeAttribute('aria-disabled');
}

function say({ title, text, label }) {
  heading.textContent = title;
  words.textContent = text;
  button.textContent = label;
}
