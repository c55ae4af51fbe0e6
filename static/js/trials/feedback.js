/** What a practice trial tells the person. */

const hint = document.getElementById('hint');
const panel = document.getElementById('feedback');
const text = document.getElementById('feedback-text');
const button = document.getElementById('feedback-continue');

// The key that answered may still be down: only a press of its own goes on.
button.addEventListener('keydown', (event) => event.repeat && event.preventDefault());

/** Show the sentence until the person has read it. */
export async function showFeedback(sentence) {
  const focused = /** @type {HTMLElement | null} */ (document.querySelector(':focus-visible'));
  text.textContent = sentence;
  hint.hidden = true;
  panel.hidden = false;
  button.focus();
  await new Promise((resolve) => button.addEventListener('click', resolve, { once: true }));
  button.blur();
  panel.hidden = true;
  hint.hidden = false;
  focused?.focus();
}
