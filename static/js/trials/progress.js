/** How far the person has come, by count; the text is a live region, so it is read out too. */

const text = document.getElementById('progress-count');
const bar = /** @type {HTMLProgressElement} */ (document.getElementById('progress-bar'));

/**
 * @param {object} trial the one being shown
 * @param {boolean} trial.isPractice
 * @param {number} trial.number from 1, among `of` practice trials or among `of` others
 * @param {number} trial.of
 * @param {number} trial.done of all `total`
 * @param {number} trial.total
 */
export function showProgress({ isPractice, number, of, done, total }) {
  text.textContent = `${isPractice ? 'Practice' : 'Trial'} ${number} of ${of}`;
  bar.max = total;
  bar.value = done;
}

export function fillProgress() {
  bar.value = bar.max;
}
