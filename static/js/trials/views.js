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

/** @param {{completion_code: string, redirect: string | null}} completed */
export function showThanks({ completion_code, redirect }) {
  document.getElementById('completion-code').textContent = completion_code;
  if (redirect) {
    document.querySelector('#onward a').href = redirect;
    document.getElementById('onward').hidden = false;
  }
  replaceStage(thanks);
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
