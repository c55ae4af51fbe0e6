/** Something to read in the stage, until the person goes on by its button. */

const stage = document.getElementById('stage');

/**
 * Show the panel; its button goes on. The focus then returns to where the keyboard had it.
 *
 * @param {HTMLElement} panel has one button
 */
export async function untilRead(panel) {
  const focused = /** @type {HTMLElement | null} */ (document.querySelector(':focus-visible'));
  const button = panel.querySelector('button');
  panel.hidden = false;
  stage.dataset.panel = panel.id;
  button.focus();
  await new Promise((resolve) => {
    // The key that answered may still be down: only a press of its own goes on.
    button.onkeydown = (event) => !event.repeat;
    button.onclick = resolve;
  });
  button.blur();
  panel.hidden = true;
  delete stage.dataset.panel;
  focused?.focus();
}
