/** How far the person has come, by count; the text is a live region, so it is read out too. */

const text = document.getElementById('progress-count');
const bar = /** @type {HTMLProgressElement} */ (document.getElementById('progress-bar'));

/** @param {{number: number, total: number, isPractice: boolean}} trial the one being shown */
export function showProgress({ number, total, isPractice }) {
  text.textContent = `${isPractice ? 'Practice' : 'Trial'} ${number} of ${total}`;
  bar.max = total;
  bar.value = number - 1;
}

export function fillProgress() {
  bar.value = bar.max;
}
