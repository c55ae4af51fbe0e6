/** The two dialogs over the trials: the instructions once more, and leaving the study. */
import { Refused } from './api.js';

/** @param {() => Promise<void>} leave rejects if it did not work */
export function wireDialogs(leave) {
  const instructions = opens('instructions-open', 'instructions-dialog');
  addEventListener('keydown', (event) => {
    if (event.key === '?' && !document.querySelector('dialog[open]')) open(instructions);
  });
  const dialog = opens('leave-open', 'leave-dialog');
  const confirm = /** @type {HTMLButtonElement} */ (document.getElementById('leave-confirm'));
  const problem = document.getElementById('leave-problem');
  dialog.addEventListener('close', () => (problem.textContent = ''));
  confirm.addEventListener('click', async () => {
    confirm.disabled = true;
    try {
      await leave();
    } catch (error) {
      problem.textContent =
        error instanceof Refused ? error.message : 'That did not reach the server. Please try again in a moment.';
      confirm.disabled = false;
    }
  });
}

function opens(buttonId, dialogId) {
  const dialog = /** @type {HTMLDialogElement} */ (document.getElementById(dialogId));
  document.getElementById(buttonId).addEventListener('click', () => open(dialog));
  return dialog;
}

/** Over the trials, which have to know: what lies under a dialog is not seen. */
function open(dialog) {
  dialog.showModal();
  document.dispatchEvent(new Event('covered'));
}
