/** The comprehension check, before the first trial: a page of its own, as the instructions are. */
import { Refused } from './api.js';
import { untilAnswered } from './connection.js';

/**
 * Resolves once the check is passed, at once where there is none. A last try that fails rejects with the server's Refused.
 *
 * @param {ReturnType<typeof import('./api.js').assignmentApi>} api
 */
export async function passCheck(api) {
  const page = document.getElementById('check');
  if (!page) return;
  const form = page.querySelector('form');
  const result = document.getElementById('check-result');
  for (;;) {
    const { passed, tries_left: triesLeft, detail } = await untilAnswered(async () => api.check(await answers(form)));
    if (passed) break;
    if (triesLeft === 0) throw new Refused(403, { title: 'Thank you for your time', detail });
    result.textContent = detail;
    result.focus();
  }
  page.remove();
  document.documentElement.dataset.theme = 'surround';
  document.getElementById('stage').hidden = false;
}

/** The choices, once the form is sent: the browser itself sees to it that none is missing. */
async function answers(form) {
  await new Promise((resolve) => {
    form.onsubmit = (event) => {
      event.preventDefault();
      resolve(null);
    };
  });
  return [...new FormData(form).values()];
}
