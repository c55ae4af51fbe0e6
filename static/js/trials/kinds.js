/**
 * The kinds of trials. Each is a module with the same functions:
 *
 *   load(trial, presentation)  what showing the trial takes, ready to be painted
 *   show(stimulus, signal)     shows it from the next frame on, and resolves to the answer, or to `{interrupted, timing}`
 *   clear()                    takes it away
 *   reveal(feedback)           points out the expected answer of a practice trial, and returns a sentence about it
 *
 * A page has the elements of its study's kind only, so only that module is loaded.
 */
const modules = { '2afc': () => import('./two_afc.js'), jnd: () => import('./jnd.js') };

export function loadKind(/** @type {string} */ name) {
  return modules[name]();
}
