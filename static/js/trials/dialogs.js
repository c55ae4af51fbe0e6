/** The two dialogs over the trials: the instructions once more, and leaving the study. */
import { Refused } from './api.js';

/** @param {() => Promise<void>} leave rejects if it did not work */
export function wireDialogs(leave) {
  opens('instructions-open', 'instructions-dialog');
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
  document.getElementById(buttonId).addEventListener('click', () => dialog.showModal());
  return dialog;
}
