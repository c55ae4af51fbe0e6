/**
 * Whether a study can be taken on this device, and if not, what to do about it.
 *
 * @typedef {{width: number, height: number, isTouch?: boolean, refreshHz?: number}} Device in CSS pixels
 * @typedef {{minWidth: number, minHeight: number, touch?: boolean, minRefreshHz?: number}} Demands
 *
 * @param {Device} device
 * @param {Demands} demands
 * @returns {string[]} a kind sentence about each thing in the way; none if nothing is
 */
export function obstacles(device, demands) {
  if (device.isTouch && demands.touch === false) {
    return ['This study does not work by touch. Please open its page on a computer with a keyboard or a mouse.'];
  }
  return [windowObstacle(device, demands), refreshObstacle(device, demands)].filter((sentence) => sentence !== '');
}

function windowObstacle({ width, height }, { minWidth, minHeight }) {
  if (width >= minWidth && height >= minHeight) return '';
  const sizes = `The images need a window of at least ${minWidth} × ${minHeight} pixels, and this one has ${width} × ${height}.`;
  if (height >= minWidth && width >= minHeight) return `${sizes} Please turn your device on its side.`;
  return `${sizes} Please make the window larger, or the page’s zoom smaller if it is above 100 %.`;
}

function refreshObstacle({ refreshHz = Infinity }, { minRefreshHz = 0 }) {
  if (refreshHz >= minRefreshHz) return '';
  return (
    `The images need a display that shows ${minRefreshHz} images a second, and this one just showed ${Math.round(refreshHz)}. ` +
    'Closing other programs or plugging in the charger may help.'
  );
}
