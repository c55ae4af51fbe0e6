/**
 * What the pages need of a browser: Chrome and Edge have it since version 105, Firefox since 110, Safari since 16.
 *
 * Looked for one by one, since the name of a browser tells little. This file and those that import it before they have
 * asked must run in much older ones.
 */

const FUNCTIONS = [
  'fetch',
  'AbortController',
  'FormData',
  'createImageBitmap',
  'matchMedia',
  'requestAnimationFrame',
  'URL.createObjectURL',
  'Object.entries',
  'Array.prototype.flat',
  'Array.prototype.flatMap',
  'Element.prototype.replaceChildren',
  'HTMLDialogElement.prototype.showModal',
  'HTMLImageElement.prototype.decode',
  'MediaQueryList.prototype.addEventListener',
];
const STYLES = ['(container-type: size)', '(aspect-ratio: 1)', 'selector(:focus-visible)'];

/**
 * @param {any} browser its global object
 * @returns {string} a kind sentence if it lacks something, or nothing
 */
export function browserObstacle(browser = window) {
  const found = (path) => path.split('.').reduce((owner, name) => owner && owner[name], browser);
  const supports = (condition) => Boolean(browser.CSS && browser.CSS.supports && browser.CSS.supports(condition));
  const missing = [
    ...FUNCTIONS.filter((path) => typeof found(path) !== 'function'),
    ...STYLES.filter((condition) => !supports(condition)),
  ];
  if (!missing.length) return '';
  return (
    'This browser is too old for this study. Please update it, or open the link in a current Chrome, Edge, Firefox or ' +
    `Safari. (It lacks: ${missing.join(', ')}.)`
  );
}
