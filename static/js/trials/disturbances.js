/** What comes between a person and the images of a trial. */

/**
 * Watch from now on.
 *
 * `flags` gathers `hidden` (the page was out of sight), `covered` (by a dialog of ours), `resize` (the window, the zoom or
 * the display's pixels changed) and `blur` (the keyboard went elsewhere). `interrupted` resolves to the first of them
 * after which nobody can say what was seen: any but `blur`.
 *
 * @returns {{flags: Set<string>, interrupted: Promise<string>, stop: () => void}}
 */
export function watchForDisturbances() {
  const flags = new Set();
  const over = new AbortController();
  const listen = { signal: over.signal };
  const interrupted = new Promise((resolve) => {
    const note = (what) => {
      flags.add(what);
      if (what !== 'blur') resolve(what);
    };
    document.addEventListener('visibilitychange', () => document.hidden && note('hidden'), listen);
    document.addEventListener('covered', () => note('covered'), listen);
    addEventListener('resize', () => note('resize'), listen);
    onPixelRatioChange(() => note('resize'), listen);
    addEventListener('blur', () => note('blur'), listen);
    if (document.hidden) note('hidden');
    if (!document.hasFocus()) note('blur');
  });
  return { flags, interrupted, stop: () => over.abort() };
}

/** The zoom has changed, or the window has moved to another display: told once, as the query is about this ratio. */
export function onPixelRatioChange(listener, options) {
  matchMedia(`(resolution: ${devicePixelRatio}dppx)`).addEventListener('change', listener, { ...options, once: true });
}
