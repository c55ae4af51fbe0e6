/** What the answers were given on. Nothing that identifies a person or a machine. */
import { onPixelRatioChange } from './disturbances.js';
import { frameInterval } from './frames.js';

/**
 * Report the environment, measured while the first trials are shown (it takes about a second), and again whenever the
 * zoom has changed: the latest report counts.
 *
 * @param {(measured: object) => Promise<void>} report
 */
export async function watchEnvironment(report) {
  let zoomChanges = 0;
  const frame = await frameInterval();
  const tell = () => report({ ...environment(frame), zoom_changes: zoomChanges });
  const onChange = () => {
    zoomChanges += 1;
    onPixelRatioChange(onChange);
    tell();
  };
  onPixelRatioChange(onChange);
  await tell();
}

function environment(frame) {
  return {
    frame_interval_ms: frame,
    refresh_rate_hz: Math.round(1000 / frame),
    viewport: [innerWidth, innerHeight],
    screen: [screen.width, screen.height],
    device_pixel_ratio: devicePixelRatio,
    fullscreen: matchMedia('(display-mode: fullscreen)').matches,
    browser: browserFamily(navigator.userAgent),
    touch: navigator.maxTouchPoints > 0,
    coarse_pointer: matchMedia('(pointer: coarse)').matches,
    reduced_motion: matchMedia('(prefers-reduced-motion: reduce)').matches,
    dark_theme: matchMedia('(prefers-color-scheme: dark)').matches,
    wide_gamut: matchMedia('(color-gamut: p3)').matches,
  };
}

function browserFamily(userAgent) {
  const marks = { Firefox: /Firefox|FxiOS/, Edge: /Edg/, Chrome: /Chrome|CriOS|Chromium/, Safari: /Safari/ };
  const family = Object.keys(marks).find((name) => marks[name].test(userAgent)) ?? 'other';
  return `${family} ${/Mobi/.test(userAgent) ? 'mobile' : 'desktop'}`;
}
