/** What the answers were given on. Nothing that identifies a person or a machine. */
import { frameInterval } from './frames.js';

/** Measured while the first trials are shown; takes about a second. */
export async function measureEnvironment() {
  const frame = await frameInterval();
  return {
    frame_interval_ms: frame,
    refresh_rate_hz: Math.round(1000 / frame),
    viewport: [innerWidth, innerHeight],
    screen: [screen.width, screen.height],
    device_pixel_ratio: devicePixelRatio,
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
