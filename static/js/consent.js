/** The consent page looks at the device first: nobody agrees to a study that cannot be taken on it. */
import { browserObstacle } from './browser_support.js';
import { obstacles } from './screening.js';
import { frameInterval } from './trials/frames.js';

const notice = document.getElementById('screening');
const reasons = document.getElementById('screening-reasons');
const agree = /** @type {HTMLButtonElement} */ (document.getElementById('agree'));
const { minWidth, minHeight, minRefreshHz, touch } = notice.dataset;
const demands = {
  minWidth: Number(minWidth),
  minHeight: Number(minHeight),
  minRefreshHz: Number(minRefreshHz),
  touch: touch === 'true',
};
const tooOld = browserObstacle();
let refreshHz = Infinity;

function whatHinders() {
  if (tooOld) return tooOld;
  // What the device is first of all: a laptop whose screen can be touched is none.
  const isTouch = matchMedia('(hover: none) and (pointer: coarse)').matches;
  return obstacles({ width: innerWidth, height: innerHeight, isTouch, refreshHz }, demands).join(' ');
}

/** Said when it has changed only: the notice is a live region. */
function look() {
  const found = whatHinders();
  notice.hidden = found === '';
  agree.disabled = found !== '';
  if (reasons.textContent !== found) reasons.textContent = found;
}

/** A busy moment is no slow display: as long as it looks like one it is measured again. */
async function measureRefresh() {
  do {
    // Displays miss their nominal rate by a little.
    refreshHz = Math.round(1000 / (await frameInterval()));
    look();
  } while (refreshHz < demands.minRefreshHz);
}

look();
document.getElementById('screening-watched').hidden = tooOld !== '';
document.getElementById('unchecked').hidden = true;
addEventListener('resize', look);
if (demands.minRefreshHz && !tooOld) measureRefresh();
