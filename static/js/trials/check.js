/** The comprehension check, before the first trial: a page of its own, like the instructions that it repeats. */
import { untilAnswered } from './connection.js';

/**
 * Resolves once the check is passed, at once where there is none; never after the last failed try.
 *
 * @param {ReturnType<typeof import('./api.js').assignmentApi>} api
 */
export async function passCheck(api) {
  const page = document.getElementById('check');
  if (!page) return;
  const form = page.querySelector('form');
  form.querySelector('button').disabled = false;
  for (;;) {
    const given = await answers(form);
    const { passed, tries_left: triesLeft, wrong } = await untilAnswered(() => api.check(given));
    if (passed) break;
    if (triesLeft === 0) return farewell();
    askAgain(form, wrong);
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

function askAgain(form, wrong) {
  form.querySelectorAll('fieldset').forEach((fieldset, place) => {
    fieldset.classList.toggle('is-wrong', wrong.includes(place));
  });
  document.getElementById('check-result').textContent =
    'Not quite. Please read the instructions once more, and think again about what is marked. You have one more try.';
}

/** The server has a page for those who may not go on. */
function farewell() {
  location.reload();
  return new Promise(() => {});
}
