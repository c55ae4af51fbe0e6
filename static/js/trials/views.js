/** What the page shows once the trials are over. */
import { fillProgress } from './progress.js';

const stage = document.getElementById('stage');
const thanks = document.getElementById('thanks');
const message = document.getElementById('message');

/** The last answer is given but not everything is saved yet. */
export function showSaving() {
  fillProgress();
  stage.classList.add('is-saving');
}

/** @param {import('./api.js').Completed} completed */
export function showThanks({ completion_code, ending }) {
  document.getElementById('completion-code').textContent = completion_code;
  if (ending.kind === 'redirect') {
    document.querySelector('#onward a').href = ending.url;
    document.getElementById('onward').hidden = false;
  }
  if (ending.kind === 'form') fillHandIn(ending);
  replaceStage(thanks);
}

/** The form that tells the recruiter. */
function fillHandIn({ url, fields }) {
  const form = /** @type {HTMLFormElement} */ (document.getElementById('hand-in'));
  form.action = url;
  for (const [name, value] of Object.entries(fields)) {
    const field = document.createElement('input');
    Object.assign(field, { type: 'hidden', name, value });
    form.prepend(field);
  }
  form.hidden = false;
}

/**
 * Back to the recruiter, where there is one.
 *
 * @param {import('./api.js').Completed} completed
 */
export function goBack({ ending }) {
  if (ending.kind === 'redirect') location.assign(ending.url);
  if (ending.kind === 'form') /** @type {HTMLFormElement} */ (document.getElementById('hand-in')).submit();
}

/** @param {{title: string, text: string, isWorthReloading: boolean}} what */
export function showMessage({ title, text, isWorthReloading }) {
  message.querySelector('h1').textContent = title;
  message.querySelector('p').textContent = text;
  message.querySelector('form').hidden = !isWorthReloading;
  replaceStage(message);
}

/** From here on the page follows the person's light or dark theme. */
function replaceStage(view) {
  stage.remove();
  document.getElementById('check')?.remove();
  delete document.documentElement.dataset.theme;
  view.hidden = false;
  view.querySelector('h1').focus();
}
